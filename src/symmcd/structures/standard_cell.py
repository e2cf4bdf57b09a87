"""Any crystal → conventional standard cell → asymmetric unit (paper, section 4.1 and appendix A)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.lattice import constrain, k_from_lattice
from symmcd.crystallography.projection import nearest_on_images, to_generator_form
from symmcd.crystallography.space_group import operations
from symmcd.crystallography.wyckoff import wrap, wyckoff_table
from symmcd.errors import InputError
from symmcd.structures.cell import Cell
from symmcd.structures.symmetry_search import SymmetryError, find_symmetry, standard_hall_numbers

EXACT = 1e-6
"""Å: atoms this close to where their group puts them count as exactly there."""

ON_POSITION = 1e-3
"""Å: how far an atom of an exactly symmetric cell may lie off its Wyckoff position; rounding gives 1e-13."""

CENTRE = np.array([0.2371, 0.1713, 0.0917])
"""Generic point (fractional): the representative of an orbit is the member, in generator form, nearest to it (wrapped).

This is a fixed choice, and for the general position a convex asymmetric unit, up to the metric."""


def standard_cell(cell: Cell, symprec: float) -> Cell:
    """Idealised conventional cell in the standard setting, with its space group, as spglib finds it.

    Args:
        cell: any cell of the crystal.
        symprec: tolerance in Å.

    Raises:
        InputError: `symprec` is no tolerance.
        SymmetryError: no symmetry at this tolerance (overlapping atoms, usually), or no crystal (`check_arrays`).
    """
    found = find_symmetry(cell, symprec)
    hall = standard_hall_numbers()[found.number - 1]
    if found.hall_number != hall:
        found = find_symmetry(cell, symprec, hall)
    return Cell(found.std_lattice, found.std_types, found.std_positions, space_group=int(found.number))


def symmetrised(cell: Cell, tolerance: float) -> tuple[np.ndarray, list[np.ndarray]]:
    """Positions (N, 3) of a standard cell, exactly symmetric, and the atom indices of each orbit of its group.

    spglib's idealisation leaves a few crystals in a thousand short of their symmetry; those are symmetrised here, by
    averaging each orbit over the group.

    Raises:
        SymmetryError: an operation takes an atom to a place where, within `tolerance` Å, no equal atom is.
    """
    group, position = operations(_group(cell)), np.array(cell.position)
    left = np.ones(len(cell), bool)
    orbits = []
    while left.any():
        atom = int(left.argmax())
        same = np.flatnonzero(left & (cell.element == cell.element[atom]))
        images = group[:, :, :3] @ position[atom] + group[:, :, 3]
        difference = position[same] - images[:, None]
        difference -= np.rint(difference)
        squared = ((difference @ cell.lattice) ** 2).sum(axis=2)
        nearest = squared.argmin(axis=1)
        gap = np.sqrt(squared.min(axis=1).max())
        if gap > tolerance:
            raise SymmetryError("orbit_not_closed", f"atom {atom} of the standard cell misses an image by {gap:.3g} Å")
        members = same[np.unique(nearest)]
        if gap > EXACT:
            shift = difference[
                np.arange(len(group)), nearest
            ]  # from where each image should be to the atom that is there
            back = np.rint(np.linalg.inv(group[:, :, :3])) @ shift[:, :, None]
            ideal = images + group[:, :, :3] @ back[..., 0].mean(axis=0)
            position[same[nearest]] = ideal
        left[members] = False
        orbits.append(members)
    return position, orbits


def reduce_cells(
    cells: Sequence[Cell], labels: Sequence[str], tolerance: float
) -> tuple[AsymmetricUnits, list[int], dict[int, SymmetryError]]:
    """Asymmetric units of standard cells, all at once.

    Args:
        cells: from `standard_cell`.
        labels: one name a cell.
        tolerance: Å, how far an atom may be from an image of its orbit; the symprec of the search.

    Returns:
        The units of the cells that worked, the indices of those cells, and the error of each other one.
    """
    cells = list(cells)
    failures: dict[int, SymmetryError] = {}
    kept: list[int] = []
    orbits: list[tuple[int, np.ndarray]] = []  # (cell, members)
    for index, cell in enumerate(cells):
        try:
            position, found = symmetrised(cell, tolerance)
        except SymmetryError as error:
            failures[index] = error
            continue
        cells[index] = dataclasses.replace(cell, position=position)
        kept.append(index)
        orbits.extend((index, members) for members in found)
    if not kept:
        return AsymmetricUnits.empty(), kept, failures

    rows, positions = _representatives(cells, orbits)
    for number in np.flatnonzero(rows < 0).tolist():
        index, members = orbits[number]
        detail = f"{len(members)} atoms on no position of group {cells[index].space_group}"
        failures.setdefault(index, SymmetryError("no_wyckoff_position", detail))
    if failures:
        good = [i for i in kept if i not in failures]
        units, again, more = reduce_cells([cells[i] for i in good], [labels[i] for i in good], tolerance)
        return units, [good[i] for i in again], failures | {good[i]: e for i, e in more.items()}

    cell_of = np.array([index for index, _ in orbits])
    element = np.array([cells[index].element[members[0]] for index, members in orbits])
    order = np.lexsort((positions[:, 0], element, rows, cell_of))  # orbits by letter, then element
    space_group = np.array([cells[i].space_group for i in kept])
    units = AsymmetricUnits(
        space_group=space_group,
        k=constrain(k_from_lattice(np.stack([cells[i].lattice for i in kept])), space_group),
        start=np.concatenate([[0], np.cumsum(np.unique(cell_of, return_counts=True)[1])]),
        element=element[order],
        wyckoff=rows[order],
        position=wrap(positions[order]),
        label=np.array([labels[i] for i in kept], dtype=np.str_),
    )
    return units, kept, failures


def _representatives(cells: Sequence[Cell], orbits: Sequence[tuple[int, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Wyckoff position (row of the table, -1 for none) and representative, in generator form, of each orbit.

    Every member of every orbit is held against every position of its group with the orbit's multiplicity.
    """
    table = wyckoff_table()
    point, metric, owner, row = [], [], [], []
    for place, (index, members) in enumerate(orbits):
        cell, group = cells[index], _group(cells[index])
        rows = np.arange(table.start[group - 1], table.start[group])
        rows = rows[table.multiplicity[rows] == len(members)]
        point.append(np.repeat(cell.position[members], len(rows), axis=0))
        row.append(np.tile(rows, len(members)))
        owner.append(np.full(len(rows) * len(members), place))
        metric.append(np.broadcast_to(cell.lattice @ cell.lattice.T, (len(owner[-1]), 3, 3)))
    points, all_rows, owners = np.concatenate(point), np.concatenate(row), np.concatenate(owner)
    images = table.image_start[all_rows]
    nearest, squared = nearest_on_images(points, images, np.concatenate(metric))
    formed = to_generator_form(nearest, images, all_rows)
    offset = formed - CENTRE
    offset -= np.rint(offset)
    away = np.where(squared < ON_POSITION**2, np.round((offset**2).sum(axis=1), 6), np.inf)
    order = np.lexsort((formed[:, 2].round(4), formed[:, 1].round(4), formed[:, 0].round(4), all_rows, away, owners))
    number = np.arange(len(orbits))
    if not len(order):
        return np.full(len(orbits), -1), np.zeros((len(orbits), 3))
    first = order[np.minimum(np.searchsorted(owners[order], number), len(order) - 1)]
    reached = (owners[first] == number) & np.isfinite(away[first])
    return np.where(reached, all_rows[first], -1), formed[first]


def _group(cell: Cell) -> int:
    """Space group of a standard cell.

    Raises:
        InputError: it is another cell.
    """
    if cell.space_group is None:
        raise InputError("a cell of unknown space group: expected what `standard_cell` returns")
    return cell.space_group
