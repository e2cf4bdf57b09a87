"""Symmetry search: any crystal → conventional standard cell → asymmetric unit (paper, section 4.1 and appendix A)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.lattice import constrain, k_from_lattice
from symmcd.crystallography.projection import nearest_on_images, to_generator_form
from symmcd.crystallography.space_group import operations
from symmcd.crystallography.wyckoff import wrap, wyckoff_table
from symmcd.structures.symmetry_search import SymmetryError, find_symmetry, standard_hall_numbers

EXACT = 1e-6
"""Å: atoms this close to where their group puts them count as exactly there."""

ON_POSITION = 1e-3
"""Å: how far an atom of an exactly symmetric cell may lie off its Wyckoff position; rounding gives 1e-13."""

CENTRE = np.array([0.2371, 0.1713, 0.0917])
"""Of the members of an orbit in generator form, the representative is the one nearest this generic point (fractional,
wrapped): a fixed choice, and for the general position a convex asymmetric unit, up to the metric."""


@dataclass(frozen=True, eq=False)
class StandardCell:
    """Idealised conventional cell in the standard setting."""

    space_group: int
    lattice: np.ndarray  # (3, 3) rows, Å
    position: np.ndarray  # (N, 3) fractional
    element: np.ndarray  # (N,)


def standard_cell(lattice: np.ndarray, position: np.ndarray, element: np.ndarray, symprec: float) -> StandardCell:
    """Conventional standard cell found by spglib.

    Args:
        lattice: (3, 3) rows, Å.
        position: (N, 3) fractional.
        element: (N,) atomic numbers.
        symprec: tolerance in Å.

    Raises:
        InputError: `symprec` is no tolerance.
        SymmetryError: no symmetry at this tolerance (overlapping atoms, usually), or no crystal (`check_arrays`).
    """
    found = find_symmetry(lattice, position, element, symprec)
    hall = standard_hall_numbers()[found.number - 1]
    if found.hall_number != hall:
        found = find_symmetry(lattice, position, element, symprec, hall)
    return StandardCell(found.number, found.std_lattice, np.array(found.std_positions), found.std_types)


def find_orbits(cell: StandardCell, tolerance: float) -> list[np.ndarray]:
    """Atom indices of each orbit under the group's operations.

    spglib's idealisation leaves a few crystals in a thousand short of their symmetry; those are symmetrised here, in
    place, by averaging each orbit over the group.

    Raises:
        SymmetryError: an operation takes an atom to a place where, within `tolerance` Å, no equal atom is.
    """
    group = operations(cell.space_group)
    left = np.ones(len(cell.element), bool)
    orbits = []
    while left.any():
        atom = int(left.argmax())
        same = np.flatnonzero(left & (cell.element == cell.element[atom]))
        images = group[:, :, :3] @ cell.position[atom] + group[:, :, 3]
        difference = cell.position[same] - images[:, None]
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
            cell.position[same[nearest]] = ideal
        left[members] = False
        orbits.append(members)
    return orbits


def reduce_cells(
    cells: Sequence[StandardCell], labels: Sequence[str], tolerance: float
) -> tuple[AsymmetricUnits, list[int], dict[int, SymmetryError]]:
    """Asymmetric units of standard cells, all at once.

    Args:
        cells: from `standard_cell`; their positions may be symmetrised in place.
        labels: one name a cell.
        tolerance: Å, how far an atom may be from an image of its orbit; the symprec of the search.

    Returns:
        The units of the cells that worked, the indices of those cells, and the error of each other one.
    """
    table = wyckoff_table()
    failures: dict[int, SymmetryError] = {}
    kept: list[int] = []
    orbits: list[tuple[int, np.ndarray]] = []  # (cell, members)
    for index, cell in enumerate(cells):
        try:
            found = find_orbits(cell, tolerance)
        except SymmetryError as error:
            failures[index] = error
            continue
        kept.append(index)
        orbits.extend((index, members) for members in found)
    if not kept:
        return AsymmetricUnits.empty(), kept, failures

    # every member of every orbit against every position of its group with the orbit's multiplicity
    point, metric, owner, row = [], [], [], []
    for number, (index, members) in enumerate(orbits):
        cell = cells[index]
        rows = np.arange(table.start[cell.space_group - 1], table.start[cell.space_group])
        rows = rows[table.multiplicity[rows] == len(members)]
        point.append(np.repeat(cell.position[members], len(rows), axis=0))
        row.append(np.tile(rows, len(members)))
        owner.append(np.full(len(rows) * len(members), number))
        metric.append(np.broadcast_to(cell.lattice @ cell.lattice.T, (len(owner[-1]), 3, 3)))
    points, all_rows, owners = np.concatenate(point), np.concatenate(row), np.concatenate(owner)
    images = table.image_start[all_rows]
    nearest, squared = nearest_on_images(points, images, np.concatenate(metric))
    formed = to_generator_form(nearest, images, all_rows)
    offset = formed - CENTRE
    offset -= np.rint(offset)
    away = np.where(squared < ON_POSITION**2, np.round((offset**2).sum(axis=1), 6), np.inf)
    order = np.lexsort((formed[:, 2].round(4), formed[:, 1].round(4), formed[:, 0].round(4), all_rows, away, owners))
    first = order[np.searchsorted(owners[order], np.arange(len(orbits)))] if len(order) else order
    reached = np.full(len(orbits), False)
    reached[owners[first]] = np.isfinite(away[first])
    for number in np.flatnonzero(~reached).tolist():
        index, members = orbits[number]
        failures.setdefault(
            index,
            SymmetryError(
                "no_wyckoff_position", f"{len(members)} atoms on no position of group {cells[index].space_group}"
            ),
        )
    if failures:
        good = [i for i in kept if i not in failures]
        units, again, more = reduce_cells([cells[i] for i in good], [labels[i] for i in good], tolerance)
        return units, [good[i] for i in again], failures | {good[i]: e for i, e in more.items()}

    cell_of = np.array([index for index, _ in orbits])
    element = np.array([cells[index].element[members[0]] for index, members in orbits])
    order = np.lexsort((formed[first][:, 0], element, all_rows[first], cell_of))  # orbits by letter, then element
    space_group = np.array([cells[i].space_group for i in kept])
    units = AsymmetricUnits(
        space_group=space_group,
        lattice=constrain(k_from_lattice(np.stack([cells[i].lattice for i in kept])), space_group),
        start=np.concatenate([[0], np.cumsum(np.unique(cell_of, return_counts=True)[1])]),
        element=element[order],
        wyckoff=all_rows[first][order],
        position=wrap(formed[first][order]),
        label=np.array([labels[i] for i in kept], dtype=np.str_),
    )
    return units, kept, failures
