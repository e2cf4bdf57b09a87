"""The one door to spglib: questions are checked before, and a refusal, in whatever way it comes, is one error.

spglib takes its arrays as they are: a coordinate that is nan ends the process, a tolerance of 0 never ends.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy as np
import spglib

from symmcd.errors import InputError
from symmcd.structures.checks import check_arrays
from symmcd.structures.crystal import StructureError

Cell = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Lattice (3, 3) rows in Å, fractional positions (N, 3), atomic numbers (N,)."""


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


def find_symmetry(
    lattice: np.ndarray, position: np.ndarray, element: np.ndarray | Sequence[int], symprec: float, hall_number: int = 0
) -> Any:
    """spglib's dataset of a crystal.

    Args:
        lattice: (3, 3) rows, Å.
        position: (N, 3) fractional.
        element: (N,) atomic numbers.
        symprec: tolerance, Å.
        hall_number: setting of the standard cell; 0: spglib's choice.

    Raises:
        InputError: `symprec` is no tolerance.
        SymmetryError: no_symmetry_found (overlapping atoms, usually), or what `check_arrays` refuses.
    """
    return _asked(spglib.get_symmetry_dataset, (lattice, position, element), symprec, hall_number=hall_number)


def conventional_cell(
    lattice: np.ndarray, position: np.ndarray, element: np.ndarray | Sequence[int], symprec: float
) -> Cell:
    """Conventional cell in standard orientation, atoms where they are; arguments and errors as of `find_symmetry`."""
    return _asked(spglib.standardize_cell, (lattice, position, element), symprec, to_primitive=False, no_idealize=True)


def primitive_cell(
    lattice: np.ndarray, position: np.ndarray, element: np.ndarray | Sequence[int], symprec: float
) -> Cell:
    """Primitive cell, atoms where they are; arguments and errors as of `find_symmetry`."""
    return _asked(spglib.standardize_cell, (lattice, position, element), symprec, to_primitive=True, no_idealize=True)


def _asked(function: Callable[..., Any], cell: tuple[Any, Any, Any], symprec: float, **options: Any) -> Any:
    symprec = check_symprec(symprec)
    try:
        check_arrays(*cell)
    except StructureError as error:
        raise SymmetryError(error.reason, error.detail) from None
    try:
        found = function(cell, symprec=symprec, **options)
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
