"""Tables of `symmcd relax` and of `symmcd judge`, as further stages read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from symmcd.errors import InputError
from symmcd.stability.hull_entries import is_formula
from symmcd.stability.outcome import is_unread
from symmcd.tables import check_numbers, read_rows


def potential_of(row: Mapping[str, str]) -> str:
    """The potential whose energies a row has; tables name those that are not CHGNet."""
    return row.get("potential") or "chgnet"


def read_relaxed_table(path: Path, needed: Sequence[str], energies: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a table, each of a crystal with a status and a formula.

    Args:
        path: csv.
        needed: columns that it must have.
        energies: those of them that are numbers or blank.

    Raises:
        InputError: an unreadable table, one that is cut or lacks a column, or a row that makes no sense, by its number.
    """
    rows = read_rows(path, needed, "relax")
    check_numbers(path, rows, energies, "relax")
    for number, row in enumerate(rows, 1):
        if not row["id"] or not row["status"] or not (is_formula(row["formula"]) or is_unread(row)):
            raise InputError(
                f"{path}, row {number}: id {row['id']!r}, status {row['status']!r}, formula {row['formula']!r}; run "
                "`symmcd relax` again"
            )
    return rows
