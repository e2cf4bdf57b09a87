"""The only calls of spglib: arguments are checked before, and every kind of failure becomes the same error.

spglib does not check its arrays: a nan coordinate ends the process, a tolerance of 0 never returns.  If no symmetry is
found (usually because atoms overlap), `find_symmetry` raises, and the others answer: no group, every atom an orbit of
its own, the cell unchanged.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
import spglib

from symmcd.errors import InputError
from symmcd.structures.cell import Cell
from symmcd.structures.checks import check_arrays
from symmcd.structures.crystal import StructureError


class SymmetryError(StructureError):
    """A crystal whose symmetry could not be found or does not account for its atoms; `reason` is short and fixed."""


def check_symprec(symprec: float) -> float:
    """`symprec`, if it is a tolerance in Å.

    Raises:
        InputError: no number, not finite, or not above 0.
    """
    if isinstance(symprec, bool) or not isinstance(symprec, Real) or not 0 < float(symprec) < np.inf:
        raise InputError(f"symprec = {symprec!r}: expected a tolerance in Å, a number above 0 such as 0.1")
    return float(symprec)


def find_symmetry(cell: Cell, symprec: float, hall_number: int = 0) -> Any:
    """spglib's dataset of a crystal.

    Args:
        cell: any.
        symprec: tolerance, Å.
        hall_number: setting of the standard cell; 0: spglib's choice.

    Raises:
        InputError: `symprec` is no tolerance.
        SymmetryError: no_symmetry_found (overlapping atoms, usually), or what `check_arrays` refuses.
    """
    return _asked(spglib.get_symmetry_dataset, cell, symprec, hall_number=hall_number)


def space_group_number(cell: Cell, symprec: float) -> int | None:
    """Space group found within `symprec` Å; None if there is none.

    Raises:
        InputError: `symprec` is no tolerance.
    """
    try:
        return int(find_symmetry(cell, symprec).number)
    except SymmetryError:
        return None


def with_orbits(cell: Cell, symprec: float) -> Cell:
    """The same atoms with the orbits found within `symprec` Å; every atom its own orbit where no symmetry is found.

    Raises:
        InputError: `symprec` is no tolerance.
    """
    try:
        orbit = find_symmetry(cell, symprec).equivalent_atoms
    except SymmetryError:
        orbit = np.arange(len(cell))
    return dataclasses.replace(cell, orbit=orbit)


def conventional_cell(cell: Cell, symprec: float) -> Cell:
    """Conventional cell in standard orientation, atoms where they are; `cell` where no symmetry is found.

    Raises:
        InputError: `symprec` is no tolerance.
    """
    return _standardised(cell, symprec, to_primitive=False)


def primitive_cell(cell: Cell, symprec: float) -> Cell:
    """A reduced primitive cell, atoms where they are; `cell` where no symmetry is found.

    Raises:
        InputError: `symprec` is no tolerance.
    """
    return _standardised(cell, symprec, to_primitive=True)


def _standardised(cell: Cell, symprec: float, *, to_primitive: bool) -> Cell:
    """Another cell of the same crystal; the given one where spglib finds none or takes two atoms for one."""
    try:
        found = _asked(spglib.standardize_cell, cell, symprec, to_primitive=to_primitive, no_idealize=True)
    except SymmetryError:
        return cell
    lattice, position, element = found
    return Cell(lattice, element, position) if _shares(element) == _shares(cell.element) else cell


def _shares(element: np.ndarray) -> dict[int, int]:
    """Atoms of each element in the smallest formula unit."""
    numbers, counts = np.unique(element, return_counts=True)
    return dict(zip(numbers.tolist(), (counts // np.gcd.reduce(counts)).tolist(), strict=True))


def _asked(function: Callable[..., Any], cell: Cell, symprec: float, **options: Any) -> Any:
    symprec = check_symprec(symprec)
    try:
        check_arrays(cell.lattice, cell.position, cell.element)
    except StructureError as error:
        raise SymmetryError(error.reason, error.detail) from None
    try:
        found = function((cell.lattice, cell.position, cell.element), symprec=symprec, **options)
    except spglib.SpglibError as error:
        raise SymmetryError("no_symmetry_found", f"spglib at symprec {symprec} Å: {error}") from None
    if found is None:
        raise SymmetryError("no_symmetry_found", f"spglib at symprec {symprec} Å: atoms too close, or a broken cell")
    return found


def group_of_operations(rotation: np.ndarray, translation: np.ndarray, tolerance: float) -> int:
    """Space-group type of a group of operations in any setting; 0 where spglib knows none.

    Args:
        rotation: (n, 3, 3) integers.
        translation: (n, 3) fractional.
        tolerance: of the translations, fractional.
    """
    kind = spglib.get_spacegroup_type_from_symmetry(
        np.ascontiguousarray(rotation, "intc"), np.ascontiguousarray(translation, float), symprec=tolerance
    )
    return 0 if kind is None else int(kind.number)


@functools.cache
def standard_hall_numbers() -> tuple[int, ...]:
    """Hall numbers of the standard settings, groups 1..230: spglib's default, but origin choice 2 of two."""
    chosen: dict[int, int] = {}
    for hall in range(1, 531):
        kind = spglib.get_spacegroup_type(hall)
        if kind.number not in chosen or kind.choice == "2":
            chosen[kind.number] = hall
    return tuple(chosen[number] for number in range(1, 231))
