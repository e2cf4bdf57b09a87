"""Ways to damage a file: bytes, words, JSON trees and arrays."""

from __future__ import annotations

import io
import json
import re
import zipfile
from random import Random
from typing import Any

import numpy as np

EXTREME = (
    "nan", "inf", "-inf", "1e308", "-1e308", "1e-308", "-1", "0", "-0.0", "1e400", "1_0", "0x10", str(10**12),
    str(2**63), "-2147483649", "9" * 400, "9" * 5000, "", "?", ".", "T", "None", "é", "\x00", '"', "'", "x" * 3000,
    "231", "119", "D", "Li1", "Fe3+", "X", "[[", "{", "_JSON {", "loop_", "data_", "../../x", "=1+1", "1/0", "x,y,z",
    "-x,-y,z+1/0",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 10**12, 2**63, 10**400, float("nan"), float("inf"), 1e308, "", "nan", "x", "é\n", [],
    {}, [[]], [None], {"@module": "this", "@class": "x"}, "9" * 5000,
)  # fmt: skip
MOST = 1 << 20  # bytes of a mutated input


def bytes_of(random: Random, content: bytes, other: bytes = b"") -> bytes:
    """Content with one to four changes of its bytes."""
    found = bytearray(content)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(found) + 1)
        end = min(len(found), at + random.choice((1, 1, 2, 4, 16, 100, 1000)))
        match random.randrange(9):
            case 0 | 1 if at < len(found):
                found[at] ^= 1 << random.randrange(8)
            case 2:
                found[at:end] = random.randbytes(end - at)
            case 3:
                del found[at:end]
            case 4:
                found[at:at] = found[at:end] * random.choice((1, 2, 50))
            case 5:
                del found[at:]
            case 6:
                found[at:end] = random.choice((b"\x00", b"\xff", b"\xff\xfe", b"\n", b"\r")) * random.choice(
                    (1, 4, 1000)
                )
            case 7:
                found[at:end] = random.choice(EXTREME).encode()
            case _ if other:
                begin = random.randrange(len(other))
                found[at:end] = other[begin : begin + random.choice((10, 100, 1000))]
    return bytes(found[:MOST])


def text_of(random: Random, text: str) -> str:
    """Text with one to three words or lines changed."""
    for _ in range(random.randint(1, 3)):
        if random.random() < 0.3:
            lines = text.splitlines(keepends=True) or [""]
            i, j = random.randrange(len(lines)), random.randrange(len(lines))
            match random.randrange(5):
                case 0:
                    del lines[i]
                case 1:
                    lines[i:i] = [lines[j]] * random.choice((1, 1, 100))
                case 2:
                    lines[i], lines[j] = lines[j], lines[i]
                case 3:
                    lines[i:i] = ["\n"] * random.choice((1, 3))
                case _:
                    lines[i] = lines[i][: random.randrange(len(lines[i]) + 1)]
            text = "".join(lines)
        else:
            words = re.split(r"([\s,:\"'=]+)", text)
            i, j = random.randrange(len(words)), random.randrange(len(words))
            match random.randrange(5):
                case 0:
                    del words[i]
                case 1:
                    words[i], words[j] = words[j], words[i]
                case 2:
                    words[i:i] = [words[j], " "]
                case _:
                    numbers = [k for k, word in enumerate(words) if re.match(r"[-+]?\d", word)]
                    words[random.choice(numbers) if numbers and random.random() < 0.7 else i] = random.choice(EXTREME)
            text = "".join(words)
    return text[:MOST]


def tree_of(random: Random, tree: Any) -> Any:
    """A JSON tree with one to three of its nodes changed."""
    tree = json.loads(json.dumps(tree))
    for _ in range(random.randint(1, 3)):
        places = [(None, None), *_places(tree)]
        parent, key = random.choice(places)
        if parent is None:
            if random.random() < 0.05:
                tree = random.choice(VALUES)
            continue
        match random.randrange(5):
            case 0:
                del parent[key]
            case 1:
                parent[key] = [parent[key]]
            case 2 if isinstance(parent, dict):
                parent[random.choice(("x", "@module", "structure", "lattice", ""))] = parent.pop(key)
            case 3:
                other, name = random.choice(places)
                parent[key] = json.loads(json.dumps(tree if other is None else other[name]))
            case _:
                parent[key] = random.choice(VALUES)
    return tree


def _places(tree: Any) -> list[tuple[Any, Any]]:
    if isinstance(tree, dict):
        own = [(tree, key) for key in tree]
    elif isinstance(tree, list):
        own = [(tree, i) for i in range(len(tree))]
    else:
        return []
    return own + [place for parent, key in own for place in _places(parent[key])]


def arrays_of(random: Random, arrays: dict[str, np.ndarray]) -> bytes:
    """An npz with one or two arrays changed: values, type, shape, or a header that promises more than is there."""
    arrays = dict(arrays)
    headers = {}
    for _ in range(random.randint(1, 2)):
        name = random.choice(list(arrays))
        value = arrays[name]
        match random.randrange(8):
            case 0:
                del arrays[name]
                if not arrays:
                    arrays[name] = value
            case 1 | 2 if value.size and value.dtype.kind in "iuf":
                value = value.copy()
                extreme = (-1, 0, 1, 119, 231, 10**12, 2**62) if value.dtype.kind != "f" else (
                    np.nan, np.inf, -1e308, 1e308, -1.0, 1e-300, 7.0)  # fmt: skip
                with np.errstate(all="ignore"):
                    value.flat[random.randrange(value.size)] = np.array(random.choice(extreme)).astype(value.dtype)
                arrays[name] = value
            case 3:
                with np.errstate(all="ignore"):
                    arrays[name] = (
                        value.astype(random.choice(("f8", "i8", "i1", "u1", "bool", "U5", "S3", "c16")))
                        if value.dtype.kind in "iuf"
                        else np.arange(len(value))
                    )
            case 4:
                shapes = (value.ravel(), value[None], value[..., None], value[:-1], value[:0], value.T, np.array(0))
                arrays[name] = random.choice(shapes)
            case 5 if value.ndim:
                arrays[name] = np.concatenate([value, value])
            case 6 if value.ndim:
                arrays[name] = value[np.array([random.randrange(len(value)) for _ in range(len(value))], int)]
            case _:
                headers[name] = random.choice(
                    ((10**9,), (10**15,), (2**31, 2**31), (-1,), (0, 10**18), (1,) * 70, (2**70,))
                )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in arrays.items():
            content, value = io.BytesIO(), np.asarray(value)  # noqa: PLW2901
            header = np.lib.format.header_data_from_array_1_0(value)
            np.lib.format.write_array_header_1_0(content, header | {"shape": headers.get(name, value.shape)})
            raw = content.getvalue() + value.tobytes("F" if header["fortran_order"] else "C")
            archive.writestr(f"{name}.npy", raw)
    return file.getvalue()
