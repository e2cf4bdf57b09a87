"""Checks of every crystal before anything is computed from it: the only place where arrays are checked.

Compiled code (spglib, pymatgen's distances, qhull) crashes or hangs on invalid numbers, so it only gets crystals that
passed these checks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from symmcd.structures.cell import Cell
from symmcd.structures.crystal import HEAVIEST, MOST_ATOMS, StructureError, check_ordered

FLAT = 1e-3
"""Å³: a cell of a smaller volume has no three directions."""

LONGEST = 1e5
"""Å of a lattice vector: a hundredth of a millimetre, beyond any cell of `MOST_ATOMS`."""

FARTHEST = 1e6
"""Cells from the origin: what lies beyond has lost the digits that say where in its cell it is."""


def check_crystal(crystal: Cell, names: Sequence[str] | None = None) -> None:
    """Refuse what is not an ordered crystal of elements.

    Args:
        crystal: any.
        names: of its atoms, for messages; numbered where not given.

    Raises:
        StructureError: bad_cell, no_atoms, too_large, unknown_element, bad_position; disordered for two elements on one
            point, redundant for an atom that appears twice.
    """
    names = [f"atom {i}" for i in range(len(crystal.element))] if names is None else list(names)
    check_arrays(crystal.lattice, crystal.position, crystal.element)
    wrong = ~((crystal.element >= 1) & (crystal.element <= HEAVIEST))
    if wrong.any():
        i = int(wrong.argmax())
        raise StructureError("unknown_element", f"{names[i]} has the atomic number {crystal.element[i]}")
    check_ordered(crystal, names)


def is_sound(lattice: np.ndarray, position: np.ndarray) -> bool:
    """Return whether cell and positions are numbers, and the cell has a volume; atoms may stand anywhere in it."""
    return bool(
        np.isfinite(lattice).all() and np.isfinite(position).all() and FLAT <= abs(np.linalg.det(lattice)) < np.inf
    )


def check_arrays(lattice: np.ndarray, position: np.ndarray, element: np.ndarray) -> None:
    """Refuse arrays that compiled code must not see; atoms may be anything and stand anywhere.

    Args:
        lattice: (3, 3) rows, Å.
        position: (N, 3) fractional.
        element: (N,) whole numbers.

    Raises:
        StructureError: bad_cell, no_atoms, too_large or bad_position.
    """
    lattice, position = np.asarray(lattice, float), np.asarray(position, float)
    if lattice.shape != (3, 3) or not (np.abs(lattice) <= LONGEST).all():  # nan is not shorter either
        raise StructureError("bad_cell", f"lattice vectors {lattice.tolist()}")
    if not abs(np.linalg.det(lattice)) >= FLAT:
        raise StructureError("bad_cell", f"lattice vectors {np.round(lattice, 3).tolist()} have no volume")
    if not len(element):
        raise StructureError("no_atoms", "no atoms")
    if len(element) > MOST_ATOMS:
        raise StructureError("too_large", f"{len(element)} atoms in the cell; at most {MOST_ATOMS} are read")
    if position.shape != (len(element), 3):
        raise StructureError("bad_position", f"positions of shape {position.shape} for {len(element)} atoms")
    near = (np.abs(position) <= FARTHEST).all(axis=1)  # nan is not near either
    if not near.all():
        i = int(near.argmin())
        raise StructureError("bad_position", f"atom {i} is at {position[i].tolist()}, which is not a position")
