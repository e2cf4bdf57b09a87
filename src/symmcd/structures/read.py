"""Crystals from files: tables with a `cif` column, and whatever else people keep crystals in."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symmcd.errors import InputError
from symmcd.structures.checks import check_crystal
from symmcd.structures.cif import parse_cif, split_crystals
from symmcd.structures.crystal import RawCrystal, StructureError

PROPERTIES = ("formation_energy_per_atom", "e_above_hull")
csv.field_size_limit(1 << 30)


@dataclass(frozen=True)
class Row:
    """One crystal of a table."""

    number: int  # 1 = first row after the header
    material_id: str
    cif: str
    properties: Mapping[str, float]  # eV/atom; only those that the table has


def read_rows(path: Path) -> Iterator[Row]:
    """Rows of a csv or csv.gz with a column `cif`, or the CIFs of a folder; other columns are ignored.

    Without a column `material_id` the rows are named by their number.

    Raises:
        InputError: missing, empty or truncated, without a `cif` column, or a property that is not a number.
    """
    if path.is_dir():
        yield from cif_rows(path)
        return
    number = 0
    try:
        with open_text(path) as file:
            reader = csv.DictReader(file)
            _check_columns(path, reader.fieldnames)
            for number, row in enumerate(reader, start=1):
                if row["cif"] is None or None in row:
                    raise InputError(f"{path}: row {number} has not as many values as the header; fetch it again")
                yield Row(number, row.get("material_id") or f"row{number}", row["cif"], _properties(path, number, row))
    except FileNotFoundError:
        raise InputError(f"{path.absolute()}: no such file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: damaged after row {number} ({error}); fetch it again") from None
    except OSError as error:
        raise InputError(f"{path.absolute()}: cannot be read ({error.strerror})") from None


def _check_columns(path: Path, names: Sequence[str] | None) -> None:
    if not names:
        raise InputError(f"{path}: empty file; expected a csv with the columns material_id and cif")
    if "cif" not in names:
        raise InputError(f"{path}: no column 'cif'; the columns are {', '.join(names)}")


def _properties(path: Path, number: int, row: Mapping[str, str]) -> dict[str, float]:
    try:
        return {name: float(row[name]) for name in PROPERTIES if row.get(name)}
    except ValueError as error:
        raise InputError(f"{path}: row {number}, one of {', '.join(PROPERTIES)}: {error}") from None


def cif_rows(folder: Path) -> Iterator[Row]:
    """Each crystal of the CIFs in a folder and the folders in it, in order of path.

    A crystal is named by its path without ``.cif``, and after a colon the data block where a file has several.
    Unreadable files are rows too; `parse_cif` says what is wrong with them.

    Raises:
        InputError: there is no CIF.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".cif" and path.is_file())
    if not paths:
        raise InputError(f"{folder.absolute()}: no .cif files here")
    files = ((str(path.relative_to(folder).with_suffix("")), path.read_bytes()) for path in paths)
    for number, (name, text) in enumerate(_crystals(files), start=1):
        yield Row(number, name, text, {})


def _crystals(files: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, str]]:
    """Name and CIF text of each crystal of named CIF files."""
    for name, content in files:
        text = content.decode("utf-8-sig", errors="replace")  # in comments and names; no number has such a character
        try:
            blocks = split_crystals(text)
        except StructureError:
            blocks = []
        if len(blocks) < 2:
            yield name, text
        else:
            yield from ((f"{name}:{block}", part) for block, part in blocks)


def open_text(path: Path) -> io.TextIOBase:
    """A text file, unpacked if its name ends in .gz, without a byte order mark."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def read_structures(path: Path) -> list[tuple[str, RawCrystal | StructureError]]:
    """All crystals of anybody's file or folder by name, and in place of each one that cannot be used the reason.

    Read are a folder or zip of CIFs, one .cif, .csv and .csv.gz with a column `cif`, .extxyz and .xyz, and .json and
    .json.gz with pymatgen structures: one, a list of them, or a mapping of names to them.

    Raises:
        InputError: missing, damaged, of no such kind, or without a single crystal.
    """
    if not path.exists():
        raise InputError(f"{path.absolute()}: no such file or folder")
    name = path.name.lower()
    if path.is_dir() or name.endswith((".csv", ".csv.gz")):
        found = [(row.material_id, _attempt(row.cif)) for row in read_rows(path)]
    elif name.endswith(".cif"):
        found = [(label, _attempt(text)) for label, text in _crystals([(path.stem, path.read_bytes())])]
    elif name.endswith(".zip"):
        found = [(label, _attempt(text)) for label, text in _crystals(_zipped(path))]
    elif name.endswith((".extxyz", ".xyz")):
        found = _from_extxyz(path)
    elif name.endswith((".json", ".json.gz")):
        found = _from_json(path)
    else:
        raise InputError(f"{path}: unknown kind of file; give a folder or zip of CIFs, .cif, .csv, .extxyz or .json")
    if not found:
        raise InputError(f"{path}: no crystals in it")
    return found


def _attempt(cif: str) -> RawCrystal | StructureError:
    try:
        return parse_cif(cif)
    except StructureError as error:
        return error


def _zipped(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of the CIFs in a zip, without what macOS adds."""
    try:
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                if name.lower().endswith(".cif") and not name.startswith("__MACOSX/"):
                    yield name[:-4], archive.read(name)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise InputError(f"{path}: not a readable zip file ({error})") from None


def _from_extxyz(path: Path) -> list[tuple[str, RawCrystal | StructureError]]:
    from ase.io import iread

    from symmcd.structures.convert import from_atoms
    from symmcd.structures.write import extxyz_ids

    found: list[tuple[str, RawCrystal | StructureError]] = []
    try:
        frames = iread(path, index=":", format="extxyz") if path.stat().st_size else ()
        for number, (atoms, label) in enumerate(zip(frames, extxyz_ids(path), strict=True)):
            found.append((label or f"{number:05d}", _checked(from_atoms, atoms)))
    except (ValueError, KeyError, IndexError, OSError, StopIteration) as error:
        raise InputError(f"{path}: not readable as extended xyz after frame {len(found)} ({error})") from None
    return found


def _from_json(path: Path) -> list[tuple[str, RawCrystal | StructureError]]:
    try:
        with open_text(path) as file:
            content = json.load(file)
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise InputError(f"{path}: not readable as JSON ({error})") from None
    if isinstance(content, dict) and "lattice" in content:
        content = [content]
    if isinstance(content, dict):
        return [(name, _from_dict(entry)) for name, entry in content.items()]
    if isinstance(content, list):
        return [(f"{number:05d}", _from_dict(entry)) for number, entry in enumerate(content)]
    raise InputError(f"{path}: expected pymatgen structures, found {type(content).__name__}")


def _from_dict(entry: Any) -> RawCrystal | StructureError:
    """Crystal of pymatgen's ``Structure.as_dict()``, or of a record with one under ``structure``."""
    from pymatgen.core import Structure

    from symmcd.structures.convert import from_structure

    if isinstance(entry, dict) and isinstance(entry.get("structure"), dict):
        entry = entry["structure"]
    try:
        structure = Structure.from_dict(entry)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return StructureError("unparseable", f"not a pymatgen structure: {type(error).__name__}: {error}")
    return _checked(from_structure, structure)


def _checked(convert: Callable[[Any], RawCrystal], thing: Any) -> RawCrystal | StructureError:
    """A crystal of a Python object, or what is wrong with it: the same faults as in a CIF."""
    try:
        crystal = convert(thing)
        check_crystal(crystal)
    except StructureError as error:
        return error
    return crystal
