"""Raw crystals → asymmetric units, in several processes, and the rows that could not be used."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.storage import atomic_path
from symmcd.structures.cell import Cell
from symmcd.structures.cif import parse_cif
from symmcd.structures.crystal import StructureError
from symmcd.structures.read import PROPERTIES, RawRow
from symmcd.structures.standard_cell import reduce_cells, standard_cell
from symmcd.structures.symmetry_search import SymmetryError
from symmcd.workers import alive, cores, work

WORK = "symmcd.structures.reduction:reduce_item"
CHUNK = 250  # crystals a task: long enough for the vectorised part, short enough for an even load


@dataclass(frozen=True)
class Reject:
    """A row that is not in the result."""

    row: int  # number in the file, 1 = first row after the header
    material_id: str
    reason: str
    detail: str


def write_rejects(path: Path, rejected: Iterable[Reject]) -> None:
    """Write the table of rejected rows, in the order of the file."""
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Reject.__dataclass_fields__)
        writer.writerows([r.row, r.material_id, r.reason, r.detail] for r in sorted(rejected, key=lambda r: r.row))


def _chunked(rows: Iterator[RawRow], size: int) -> Iterator[list[RawRow]]:
    while chunk := list(itertools.islice(rows, size)):
        yield chunk


def reduced(
    rows: Iterator[RawRow], limits: Mapping[str, Any], workers: int, seconds: float
) -> Iterator[tuple[AsymmetricUnits, list[Reject], int]]:
    """Units, rejects and number of rows of each chunk of `rows`, in order, made by as many processes as asked.

    Args:
        rows: raw crystals.
        limits: arguments of `reduce_chunk` besides the rows.
        workers: processes; 0 = one per core.
        seconds: wall-clock limit per crystal.

    A chunk that its process does not finish, for a crystal that hangs, crashes it or asks for too much memory, is done
    again crystal by crystal: that crystal is a reject, and the others are not.
    """
    workers = workers or cores()
    at_work: dict[int, list[RawRow]] = {}
    done: dict[int, tuple[AsymmetricUnits, list[Reject], int]] = {}
    following = 0

    def handed_out() -> Iterator[tuple[list[RawRow], Mapping[str, Any]]]:
        for number, chunk in enumerate(_chunked(rows, CHUNK)):
            at_work[number] = chunk
            yield chunk, limits

    for number, outcome in work(WORK, handed_out(), workers, seconds):
        chunk = at_work.pop(number)
        done[number] = outcome.value if outcome.status == "ok" else _one_by_one(chunk, limits, seconds)
        while following in done:
            yield done.pop(following)
            following += 1


def _one_by_one(
    rows: list[RawRow], limits: Mapping[str, Any], seconds: float
) -> tuple[AsymmetricUnits, list[Reject], int]:
    """`reduce_chunk` of each row on its own; a row that its process does not finish is a reject."""
    parts, rejects = [AsymmetricUnits.empty()] * len(rows), []
    for i, outcome in work(WORK, [([row], limits) for row in rows], 1, seconds):
        if outcome.status == "ok":
            parts[i] = outcome.value[0]
            rejects.extend(outcome.value[1])
        else:
            rejects.append(Reject(rows[i].number, rows[i].material_id, outcome.failure, outcome.detail))
    return AsymmetricUnits.concatenate([part for part in parts if len(part)]), rejects, len(rows)


def reduce_item(item: tuple[list[RawRow], Mapping[str, Any]]) -> tuple[AsymmetricUnits, list[Reject], int]:
    """`reduce_chunk` in a process of its own."""
    rows, limits = item
    return reduce_chunk(rows, **limits)


def reduce_chunk(
    rows: list[RawRow], symprec: float, max_orbits: int, max_atoms: int
) -> tuple[AsymmetricUnits, list[Reject], int]:
    """Asymmetric units and rejects of some rows, and how many rows there were."""
    os.environ.setdefault("SPGLIB_WARNING", "OFF")  # its notes go to stderr without naming the crystal
    cells: list[Cell] = []
    kept: list[RawRow] = []
    rejects: list[Reject] = []
    for row in rows:
        alive()
        try:
            crystal = parse_cif(row.cif)
            _check_size(crystal.element, max_atoms)
            cells.append(standard_cell(crystal, symprec))
            kept.append(row)
        except (StructureError, SymmetryError) as error:
            rejects.append(Reject(row.number, row.material_id, error.reason, error.detail))
    alive()
    units, good, failures = reduce_cells(cells, [row.material_id for row in kept], symprec)
    rejects.extend(Reject(kept[i].number, kept[i].material_id, e.reason, e.detail) for i, e in failures.items())
    kept = [kept[i] for i in good]
    orbits = np.diff(units.start)
    atoms = units.number_of_atoms
    large = (orbits > max_orbits) | (atoms > max_atoms)
    for i in np.flatnonzero(large):
        detail = (
            f"{orbits[i]} orbits and {atoms[i]} atoms; reduce.max_orbits = {max_orbits}, reduce.max_atoms = {max_atoms}"
        )
        rejects.append(Reject(kept[i].number, kept[i].material_id, "too_large", detail))
    small = np.flatnonzero(~large)
    known = {name: np.array([kept[i].properties.get(name, np.nan) for i in small], float) for name in PROPERTIES}
    return dataclasses.replace(units.take(small), properties=known), rejects, len(rows)


def _check_size(element: np.ndarray, max_atoms: int) -> None:
    """Refuse a cell of which not even the smallest part with whole numbers of each element has few atoms enough.

    Raises:
        StructureError: too_large.
    """
    counts = np.bincount(element)
    least = len(element) // int(np.gcd.reduce(counts[counts > 0]))
    if least > max_atoms:
        detail = f"at least {least} atoms in the primitive cell; reduce.max_atoms = {max_atoms}"
        raise StructureError("too_large", detail)
