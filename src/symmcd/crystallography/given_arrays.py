"""Arrays that a caller gives for a crystal, checked: elements by symbol or number, and the cell of a crystal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symmcd.crystallography.composition import atomic_numbers_of
from symmcd.crystallography.lattice import BASIS, k_from_lattice
from symmcd.errors import InputError

FLATTEST = 1e-5
"""Least volume of a cell, of that of a box with its lengths."""

LONGEST = 1e5
"""Å: longest cell; the shortest is one over it."""


def numbers_of_symbols(element: Any) -> Any:
    """Elements with symbols as atomic numbers; numbers stay what they are.

    Raises:
        InputError: no such element.
    """
    named = isinstance(element, str) or (isinstance(element, Sequence) and any(isinstance(e, str) for e in element))
    return atomic_numbers_of(element) if named else element


def array_of(name: str, values: Any) -> np.ndarray:
    """A new array of numbers.

    Raises:
        InputError: `values` are something else.
    """
    try:
        return np.array(values, float)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name}: expected numbers ({error})") from None


def coefficients_of(lattice: np.ndarray) -> np.ndarray:
    """k (1, 6) of a lattice (3, 3).

    Raises:
        InputError: it is not finite, flat or left-handed.
    """
    if not np.isfinite(lattice).all():
        raise InputError("the lattice is not finite")
    with np.errstate(over="ignore"):
        length = np.linalg.norm(lattice, axis=1)
    lengths = ", ".join(f"{v:.4g}" for v in length)
    if not (np.isfinite(length) & (length > 1 / LONGEST) & (length < LONGEST)).all():
        raise InputError(f"the lattice is not the cell of a crystal: a, b, c = {lengths} Å")
    volume = float(np.linalg.det(lattice / length[:, None]))  # volume for edges of length 1
    if not abs(volume) > FLATTEST:
        raise InputError(f"the lattice has no volume: a, b, c = {lengths} Å lie in a plane or on a line")
    if volume < 0:
        raise InputError("the lattice is left-handed, which would give the mirror image; give right-handed a, b, c")
    return k_from_lattice(lattice[None])


def symmetric_cell(k: np.ndarray) -> np.ndarray:
    """exp(S) (3, 3) of coefficients (1, 6), not turned to the standard orientation."""
    values, vectors = np.linalg.eigh(np.einsum("i,ijk->jk", k[0], BASIS))
    return (vectors * np.exp(values)) @ vectors.T
