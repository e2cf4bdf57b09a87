"""Our files: arrays and asymmetric units.  Numpy only, so that it runs on a bare CUDA machine."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.best_of import BestOf
from symmcd.errors import InputError
from symmcd.npz import DAMAGED, Expected, fitted, read_npz
from symmcd.writing import atomic_folder, atomic_path, temporary_name

__all__ = [
    "UNIT_FIELDS",
    "atomic_folder",
    "atomic_path",
    "read_arrays",
    "read_tensors",
    "read_units",
    "temporary_name",
    "write_arrays",
    "write_tensors",
    "write_units",
]


CHECKSUM = "crc32"  # key in the metadata of a safetensors file


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays as a compressed npz (no pickling)."""
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **{k: np.asarray(v) for k, v in arrays.items()}, allow_pickle=False)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read an npz written by `write_arrays`.

    Raises:
        InputError: the file is missing or is not such an archive, is damaged, or unpacks to more than `npz` allows.
    """
    archived = path.is_file() and zipfile.is_zipfile(path)  # if not, it may be an array or a pickle
    if path.is_dir() or (path.is_file() and not archived and path.suffix != ".npz"):
        beside = (path if path.is_dir() else path.parent) / "units.npz"
        known = f"; give {beside}" if beside.is_file() else ""
        kind = "a folder" if path.is_dir() else f"a file {path.suffix}".rstrip()
        raise InputError(f"{path}: {kind}, expected an npz file, such as units.npz of `symmcd replicate`{known}")
    if not path.exists():
        raise InputError(f"{path}: no such file; run the stage that makes it first")
    if not path.is_file():
        raise InputError(f"{path}: not a regular file, expected an npz file")
    try:
        if not archived:
            path.open("rb").close()  # for the reason why it cannot be read, if there is one
            raise zipfile.BadZipFile("no zip archive")
        return read_npz(path)
    except InputError:
        raise
    except DAMAGED as error:
        raise InputError(f"{path}: not a readable npz file ({_line(error)}); delete it and rerun its stage") from None


UNIT_FIELDS = {
    "space_group": Expected("integers", ("B",)),
    "lattice": Expected("numbers", ("B", 6)),
    "start": Expected("integers", ("B+1",)),
    "element": Expected("integers", ("A",)),
    "wyckoff": Expected("integers", ("A",)),
    "position": Expected("numbers", ("A", 3)),
    "label": Expected("texts", ("B",)),
}
ATTRIBUTES = {"lattice": "k"}
"""Attribute of `AsymmetricUnits` that is stored under another name: files have always called k `lattice`."""
BEST_OF = "best_of"  # how the crystals were chosen, a text; not in files of crystals that were not


def write_units(path: Path | str, units: AsymmetricUnits) -> None:
    """Write asymmetric units; `k` is stored as ``lattice``, properties as ``property/<name>``, `best_of` as a text."""
    arrays = {name: getattr(units, ATTRIBUTES.get(name, name)) for name in UNIT_FIELDS}
    if units.best_of is not None:
        arrays[BEST_OF] = np.array(units.best_of.text())
    write_arrays(Path(path), arrays | {f"property/{k}": v for k, v in units.properties.items()})


def read_units(path: Path | str) -> AsymmetricUnits:
    """Read what `write_units` wrote, and see that it is asymmetric units (`AsymmetricUnits.check`).

    Labels may repeat: the table that the crystals came from may have repeated them, and learning and comparing do not
    go by them.  What tells crystals apart by their labels looks at them itself.

    Raises:
        InputError: missing, unreadable, lacking a field, or with arrays that are no asymmetric units.
    """
    path = Path(path)
    arrays = read_arrays(path)
    if "site_symmetry" in arrays and "wyckoff" not in arrays:
        raise InputError(f"{path}: samples of an earlier version, without Wyckoff letters; run `symmcd sample` again")
    expected = UNIT_FIELDS | {
        name: Expected("numbers", ("B",), finite=False) for name in arrays if name.startswith("property/")
    }
    if BEST_OF in arrays:
        expected[BEST_OF] = Expected("texts", ())
    fields = fitted(path, arrays, expected, "asymmetric units")
    properties = {k.removeprefix("property/"): v for k, v in fields.items() if k.startswith("property/")}
    try:
        best_of = BestOf.read(str(fields[BEST_OF])) if BEST_OF in fields else None
        return AsymmetricUnits(
            **{ATTRIBUTES.get(name, name): fields[name] for name in UNIT_FIELDS}, properties=properties, best_of=best_of
        ).check()
    except InputError as error:
        raise InputError(f"{path}: {error}; correct it, or delete it and rerun its stage") from None


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write named arrays and text metadata as a safetensors file, with a checksum, which the format has not.

    Raises:
        InputError: it cannot be written.
    """
    from safetensors.numpy import save  # not save_file: that makes a temporary of its own, which a kill leaves for ever

    arrays = {name: np.ascontiguousarray(values) for name, values in tensors.items()}
    text = {name: value for name, value in metadata.items() if name != CHECKSUM}
    text[CHECKSUM] = _checksum(arrays, text)
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(arrays, metadata=text))


def read_tensors(path: Path, names: Collection[str] | None = None) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays and metadata of a safetensors file; nothing is unpickled.

    Args:
        path: file.
        names: read only those of these arrays that there are, in milliseconds whatever the size of the file; its
            checksum, which is of all arrays, is then not looked at.

    Raises:
        InputError: the file is missing, truncated or not a safetensors file, or its content is not what was written.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with safe_open(path, framework="numpy") as file:
            wanted = [name for name in file.keys() if names is None or name in names]  # noqa: SIM118
            arrays = {name: file.get_tensor(name) for name in wanted}
            text = dict(file.metadata() or {})
    except (SafetensorError, MemoryError, *DAMAGED) as error:
        raise InputError(f"{path}: not a readable safetensors file, or incomplete ({_line(error)})") from None
    expected = text.pop(CHECKSUM, None)  # files of earlier versions have none
    if names is None and expected is not None and _checksum(arrays, text) != expected:
        raise InputError(f"{path}: damaged, its checksum is wrong; delete it and make or fetch it again")
    return arrays, text


def _checksum(arrays: Mapping[str, np.ndarray], text: Mapping[str, str]) -> str:
    """CRC-32 of names, types, shapes and bytes; a second for a gigabyte."""
    checksum = zlib.crc32(json.dumps(dict(text), sort_keys=True).encode())
    for name in sorted(arrays):
        values = np.ascontiguousarray(arrays[name])
        checksum = zlib.crc32(f"{name} {values.dtype.str} {values.shape}".encode(), checksum)
        checksum = zlib.crc32(values.reshape(-1).view(np.uint8).data, checksum)
    return f"{checksum:08x}"


def _line(error: BaseException) -> str:
    """Message of an error, on one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
