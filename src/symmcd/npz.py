"""Arrays of an npz file, bounded before anything is allocated, and what a reader expects of them.

A zip archive says how large its members are unpacked, and an array's header how large the array is.  Both are compared
with each other and with the size of the file, so that a small damaged or made-up file cannot ask for all the memory.
"""

from __future__ import annotations

import lzma
import math
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import numpy as np

from symmcd.errors import InputError

UNPACKED = 2**26
"""Bytes that any archive may unpack to, 64 MiB."""

UNPACKED_RATIO = 100
"""Bytes that a larger one may unpack to for each of its own.  Ours are below 10; deflate cannot do more than 1,032."""

DAMAGED = (
    OSError, ValueError, EOFError, RuntimeError, KeyError, IndexError, TypeError, AttributeError, OverflowError,
    SyntaxError, NotImplementedError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error,
    tokenize.TokenError,
)  # fmt: skip
"""Errors of reading a damaged array or archive: zip's and deflate's own, and Python's, since an array's header is
text in Python's syntax."""

_LAST_CHARACTER = 0x10FFFF


@dataclass(frozen=True)
class Expected:
    """Expected properties of an array."""

    kind: Literal["integers", "numbers", "texts"]
    shape: tuple[int | str, ...]  # 6, or a name that stands for one number in all arrays: "B"; "B+1" is one more
    finite: bool = True  # numbers are

    def __str__(self) -> str:
        shape = ", ".join(map(str, self.shape))
        return f"{self.kind} ({shape}{',' if len(self.shape) == 1 else ''})"


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Arrays of an archive, by name.  Numbers, truth values and texts only: nothing is unpickled.

    Raises:
        InputError: more than it may unpack to, or too little memory.
        Exception: one of `DAMAGED`.
    """
    arrays: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(path) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings about headers that are odd Python
        members = archive.infolist()
        unpacked, packed = sum(member.file_size for member in members), path.stat().st_size
        if unpacked > max(UNPACKED, UNPACKED_RATIO * packed):
            raise InputError(
                f"{path}: {packed} bytes that unpack to {unpacked}, far more than any file of symmcd (more than "
                f"{UNPACKED_RATIO} times as many, and than {UNPACKED >> 20} MiB); delete it and rerun its stage"
            )
        for member in members:
            name = member.filename.removesuffix(".npy")
            if name == member.filename or name in arrays:
                raise ValueError(f"member {member.filename!r} is no array, or appears twice")
            try:
                with archive.open(member) as stream:
                    arrays[name] = _read_array(stream, member.file_size)
            except MemoryError:
                raise InputError(
                    f"{path}: not enough memory for its array {name!r} ({member.file_size} bytes)"
                ) from None
    return arrays


def _read_array(stream: IO[bytes], size: int) -> np.ndarray:
    """The array of a npy stream of `size` bytes.

    Raises:
        Exception: one of `DAMAGED`.
    """
    version = np.lib.format.read_magic(stream)
    headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in headers:
        raise ValueError(f"an array of version {version}")
    shape, in_columns, kind = headers[version](stream)
    if kind.kind not in "biufU" or kind.itemsize == 0 or min(shape, default=0) < 0:
        raise ValueError(f"an array of {kind} {shape}")
    needed, there = kind.itemsize * math.prod([int(length) for length in shape]), size - stream.tell()
    if needed != there:
        raise ValueError(f"an array of {kind} {shape} takes {needed} bytes, and there are {there}")
    content = bytearray(stream.read(needed))
    if len(content) != needed or stream.read(1):  # reading on to the end also compares the checksum
        raise EOFError("cut short")
    array = np.frombuffer(content, kind).reshape(shape, order="F" if in_columns else "C")
    return array.astype(kind.newbyteorder("="), copy=False)


def fitted(
    path: Path, arrays: Mapping[str, np.ndarray], expected: Mapping[str, Expected], what: str
) -> dict[str, np.ndarray]:
    """The `expected` arrays, integers as int64, numbers as float64 and texts as they are.

    Args:
        path: that they were read from, for errors.
        arrays: by name; those not expected are left out.
        expected: by name.
        what: contents of such a file, as in "it is not a file of samples".

    Raises:
        InputError: an array is missing, of another kind or shape, or has numbers that are not finite.
    """
    if missing := [name for name in expected if name not in arrays]:
        raise InputError(f"{path}: lacks {', '.join(missing)}; it is not a file of {what}")
    numbers: dict[str, tuple[int, str]] = {}  # what a name in a shape stands for, and the array that says so
    fitting = {}
    for name, wanted in expected.items():
        array = arrays[name]
        fits = array.ndim == len(wanted.shape) and array.dtype.kind in _KINDS[wanted.kind]
        if not fits:
            raise InputError(f"{path}: {name} is {array.dtype} {array.shape}, expected {wanted}; {_AGAIN}")
        for length, size in zip(array.shape, wanted.shape, strict=True):
            letter, _, more = str(size).partition("+")
            if isinstance(size, int):
                asked, source = size, ""
            else:
                known, owner = numbers.setdefault(letter, (length - int(more or 0), name))
                asked, source = known + int(more or 0), f" with {letter} = {known} of {owner}"
            if length != asked:
                raise InputError(f"{path}: {name} has shape {array.shape}, expected {wanted}{source}; {_AGAIN}")
        fitting[name] = _converted(path, name, array, wanted)
    return fitting


_KINDS = {"integers": "iu", "numbers": "iuf", "texts": "U"}
_AGAIN = "delete it and rerun its stage"


def _converted(path: Path, name: str, array: np.ndarray, wanted: Expected) -> np.ndarray:
    if wanted.kind == "integers":
        if array.dtype.kind == "u" and array.size and array.max() > np.iinfo(np.int64).max:
            raise InputError(f"{path}: {name} has numbers up to {array.max()}; {_AGAIN}")
        return array.astype(np.int64, copy=False)
    if wanted.kind == "numbers":
        with np.errstate(over="ignore"):
            array = array.astype(np.float64, copy=False)
        bad = ~np.isfinite(array)
        if wanted.finite and bad.any():
            row = int(np.argwhere(bad)[0, 0]) if array.ndim else 0
            raise InputError(f"{path}: {name} is {array[bad][0]} in row {row}, counted from 0; {_AGAIN}")
        return array
    codes = np.ascontiguousarray(array).reshape(-1).view(np.uint32)
    if ((codes > _LAST_CHARACTER) | ((codes >= 0xD800) & (codes < 0xE000))).any():
        raise InputError(f"{path}: {name} has a value that is not text; {_AGAIN}")
    return array
