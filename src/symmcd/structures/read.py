"""Crystals from files: tables with a `cif` column, and whatever else people keep crystals in."""

from __future__ import annotations

import csv
import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symmcd.errors import InputError
from symmcd.storage import atomic_path
from symmcd.structures.cell import Cell
from symmcd.structures.checks import check_crystal
from symmcd.structures.cif import parse_cif, split_crystals
from symmcd.structures.crystal import StructureError
from symmcd.structures.extxyz import crystal_of_frame, frames
from symmcd.structures.files import (
    LINE,
    TooLargeError,
    bounded_lines,
    cif_files,
    open_text,
    read_cif_file,
    shown,
    zipped_cifs,
)
from symmcd.structures.json_crystals import crystal_of_entry, entries
from symmcd.structures.names import unique

PROPERTIES = ("formation_energy_per_atom", "e_above_hull")
Found = Cell | StructureError
csv.field_size_limit(LINE)


@dataclass(frozen=True)
class RawRow:
    """One crystal of a table."""

    number: int  # 1 = first row after the header
    material_id: str
    cif: str
    properties: Mapping[str, float]  # eV/atom; only those that the table has
    problem: str = ""  # why `cif` is empty, where the file was too large to be read


def read_rows(path: Path) -> Iterator[RawRow]:
    """Rows of a csv or csv.gz with a column `cif`, or the CIFs of a folder; other columns are ignored.

    Without a column `material_id` the rows are named by their number.

    Raises:
        InputError: missing, empty, truncated or too large, without a `cif` column, or a property that is not a number.
    """
    if path.is_dir():
        yield from cif_rows(path)
        return
    number = 0
    try:
        with open_text(path) as file:
            reader = csv.DictReader(bounded_lines(file, path))
            _check_columns(path, reader.fieldnames)
            for number, row in enumerate(reader, start=1):
                if row["cif"] is None or None in row:
                    raise InputError(
                        f"{path}: row {number} has another number of values than the header; fetch the file again"
                    )
                yield RawRow(
                    number, row.get("material_id") or f"row{number}", row["cif"], _properties(path, number, row)
                )
    except FileNotFoundError:
        raise InputError(f"{path.absolute()}: no such file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: damaged after row {number} ({error}); fetch it again") from None
    except OSError as error:
        raise InputError(f"{path.absolute()}: cannot be read ({error.strerror or error})") from None


def _check_columns(path: Path, names: Sequence[str] | None) -> None:
    if not names:
        raise InputError(f"{path}: empty file; expected a csv with the columns material_id and cif")
    if "cif" not in names:
        raise InputError(f"{path}: no column 'cif'; the columns are {shown(', '.join(names[:20]), 300)}")
    if names.count("cif") > 1:
        raise InputError(f"{path}: {names.count('cif')} columns 'cif'; expected one")


def _properties(path: Path, number: int, row: Mapping[str, str]) -> dict[str, float]:
    try:
        return {name: float(row[name]) for name in PROPERTIES if row.get(name)}
    except ValueError as error:
        raise InputError(f"{path}: row {number}, one of {', '.join(PROPERTIES)}: {shown(error, 200)}") from None


def write_rows(path: Path, rows: Sequence[RawRow]) -> None:
    """Write a table; the same rows give the same bytes."""
    with (
        atomic_path(path) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("material_id", "cif", *PROPERTIES))
        writer.writerows((r.material_id, r.cif, *(r.properties.get(name, "") for name in PROPERTIES)) for r in rows)


def cif_rows(folder: Path) -> Iterator[RawRow]:
    """Each crystal of the CIFs in a folder and the folders in it, in order of path.

    A crystal is named by its path without ``.cif``, and after a colon the data block where a file has several.
    Unreadable files are rows too; `parse_cif` finds what is wrong with them, or `problem` says that they are too large.
    Files that macOS and Windows add are skipped (`is_companion`).

    Raises:
        InputError: there is no CIF.
    """
    paths = cif_files(folder)
    if not paths:
        raise InputError(f"{folder.absolute()}: no .cif files here; give a folder that has some")
    files = ((str(path.relative_to(folder).with_suffix("")), _content(path)) for path in paths)
    for number, (name, text) in enumerate(_crystals(files), start=1):
        if isinstance(text, StructureError):
            yield RawRow(number, name, "", {}, text.detail)
        else:
            yield RawRow(number, name, text, {})


def _content(path: Path) -> bytes | TooLargeError:
    try:
        return read_cif_file(path)
    except TooLargeError as error:
        return error


def _crystals(files: Iterable[tuple[str, bytes | TooLargeError]]) -> Iterator[tuple[str, str | StructureError]]:
    """Name and CIF text of each crystal of named CIF files."""
    for name, content in files:
        if isinstance(content, TooLargeError):
            yield name, StructureError("too_large", str(content))
            continue
        text = content.decode("utf-8-sig", errors="replace")  # in comments and names; no number has such a character
        try:
            blocks = split_crystals(text)
        except StructureError:
            blocks = []
        if len(blocks) < 2:
            yield name, text
        else:
            yield from ((f"{name}:{block}", part) for block, part in blocks)


def read_structures(path: Path) -> list[tuple[str, Found]]:
    """All crystals of anybody's file or folder by name, and in place of each one that cannot be used the reason.

    Read are a folder or zip of CIFs, one .cif, .csv and .csv.gz with a column `cif`, .extxyz and .xyz, and .json and
    .json.gz with pymatgen structures: one, a list of them, a mapping of names to them, or a data frame.
    Names that stand there twice are made unique, and it is said.

    Raises:
        InputError: missing, damaged, too large, of no such kind, or without a single crystal.
    """
    if not path.exists():
        raise InputError(f"{path.absolute()}: no such file or folder")
    name = path.name.lower()
    if path.is_dir() or name.endswith((".csv", ".csv.gz")):
        found = [(row.material_id, _of_row(row)) for row in read_rows(path)]
    elif name.endswith(".cif"):
        found = [(label, _attempt(text)) for label, text in _crystals([(path.stem, _content(path))])]
    elif name.endswith(".zip"):
        found = [(label, _attempt(text)) for label, text in _crystals(zipped_cifs(path))]
    elif name.endswith((".extxyz", ".xyz")):
        found = _from_extxyz(path)
    elif name.endswith((".json", ".json.gz")):
        found = [(label, _checked(crystal_of_entry, entry)) for label, entry in entries(path)]
    else:
        raise InputError(f"{path}: unknown kind of file; give a folder or zip of CIFs, .cif, .csv, .extxyz or .json")
    if not found:
        raise InputError(f"{path}: no crystals in it")
    return _each_named(path, found)


def _each_named(path: Path, found: Sequence[tuple[str, Found]]) -> list[tuple[str, Found]]:
    """The crystals of a file, each by a name of its own."""
    names = [name for name, _ in found]
    damaged = [name for name in names if "\ufffd" in name or "\0" in name]
    if damaged:
        print(
            f"{path}: {len(damaged)} of {len(names)} crystals have a name with bytes that are no text in UTF-8, "
            f"such as {shown(damaged[0])}; is the file damaged?",
            file=sys.stderr,
        )
    once = unique(names)
    changed = [(name, new) for name, new in zip(names, once, strict=True) if name != new]
    if changed:
        name, new = changed[0]
        print(
            f"{path}: {len(changed)} of {len(names)} crystals have the name of another; "
            f"the second {shown(name)} is called {shown(new)}, and so on",
            file=sys.stderr,
        )
    return list(zip(once, (crystal for _, crystal in found), strict=True))


def _of_row(row: RawRow) -> Found:
    return StructureError("too_large", row.problem) if row.problem else _attempt(row.cif)


def _attempt(cif: str | StructureError) -> Found:
    if isinstance(cif, StructureError):
        return cif
    try:
        return parse_cif(cif)
    except StructureError as error:
        return error


def _from_extxyz(path: Path) -> list[tuple[str, Found]]:
    found: list[tuple[str, Found]] = []
    counted = False
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            for number, frame in enumerate(frames(bounded_lines(file, path))):
                found.append((frame.id or f"{number:05d}", _checked(crystal_of_frame, frame)))
                counted = counted or not frame.uncounted
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    if found and not counted:
        raise InputError(f"{path}: not readable as extended xyz (no line is a number of atoms)")
    return found


def _checked(convert: Callable[[Any], Cell], thing: Any) -> Found:
    """A crystal of a Python object, or what is wrong with it: the same faults as in a CIF."""
    try:
        crystal = convert(thing)
        check_crystal(crystal)
    except StructureError as error:
        return error
    return crystal
