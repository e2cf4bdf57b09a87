"""Tables of crystals: csv with a `cif` column, plain or gzip."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from symmcd.errors import InputError

NUMBERS = ("formation_energy_per_atom", "e_above_hull")
csv.field_size_limit(1 << 30)


@dataclass(frozen=True)
class Row:
    """One crystal of a table."""

    number: int  # 1 = first row after the header
    material_id: str
    cif: str
    properties: Mapping[str, float]  # eV/atom; only those that the table has


def read_rows(path: Path) -> Iterator[Row]:
    """Rows of a csv or csv.gz with the columns `material_id` and `cif`; other columns are ignored.

    Raises:
        InputError: missing, empty or truncated, or without a `cif` column.
    """
    number = 0
    try:
        with open_text(path) as file:
            reader = csv.DictReader(file)
            if reader.fieldnames is None:
                raise InputError(f"{path}: empty file; expected a csv with the columns material_id and cif")
            if "cif" not in reader.fieldnames:
                raise InputError(f"{path}: no column 'cif'; the columns are {', '.join(reader.fieldnames)}")
            for number, row in enumerate(reader, start=1):
                properties = {name: float(row[name]) for name in NUMBERS if row.get(name)}
                yield Row(number, row.get("material_id") or f"row{number}", row["cif"] or "", properties)
    except FileNotFoundError:
        raise InputError(f"{path.absolute()}: no such file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise InputError(f"{path}: damaged after row {number} ({error}); fetch it again") from None


def open_text(path: Path) -> io.TextIOBase:
    """A text file, unpacked if its name ends in .gz."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")  # type: ignore[return-value]
    return path.open(encoding="utf-8", newline="")
