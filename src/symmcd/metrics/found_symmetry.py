"""Space groups that spglib finds in a crystal, and how a set's distribution differs from a reference's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pymatgen.core import Structure
from scipy.spatial import KDTree
from scipy.spatial.distance import jensenshannon

from symmcd.crystallography.space_group import operations
from symmcd.crystallography.wyckoff import wrap
from symmcd.structures.convert import elements_of_structure
from symmcd.structures.symmetry_search import SymmetryError, find_symmetry, space_group_number


@dataclass(frozen=True)
class Detected:
    """Symmetry that spglib finds."""

    number: int  # space group
    operations: int  # operations of the given cell, including its own translations


def detect(structure: Structure, symprec: float) -> Detected | None:
    """Symmetry at a tolerance in Å; None if spglib gives up (atoms on top of each other, usually)."""
    try:
        found = find_symmetry(elements_of_structure(structure), symprec)
    except SymmetryError:
        return None
    return Detected(int(found.number), len(found.rotations))


def detected_group(structure: Structure, symprec: float) -> int | None:
    """Space group number at a tolerance in Å; None if spglib gives up."""
    return space_group_number(elements_of_structure(structure), symprec)


def agreement(found: Detected | None, space_group: int) -> str:
    """Compare the symmetry found in a conventional cell of `space_group` with that group.

    ``exact``; ``supergroup`` or ``lower``, by the number of operations in the same cell; ``other`` for as many
    operations of another group; ``none`` where nothing was found.
    """
    if found is None:
        return "none"
    # a crystal of the same group in a smaller cell has translations that the group asked for has not
    excess = found.operations - len(operations(space_group))
    if found.number == space_group and excess >= 0:
        return "exact"
    return "supergroup" if excess > 0 else "lower" if excess < 0 else "other"


def keeps_group(structure: Structure, space_group: int, tolerance: float = 1e-3) -> bool:
    """Return whether every operation of the requested group maps the crystal onto itself, within `tolerance` Å.

    The structure must be a conventional cell in the standard setting.  True for a crystal of the group or a supergroup.
    """
    group = operations(space_group)
    numbers, position = np.array(structure.atomic_numbers), wrap(structure.frac_coords)
    for element in np.unique(numbers):
        own = position[numbers == element]
        # nearest in fractional coordinates: of atoms so near each other, any will do
        moved = wrap(own @ group[:, :, :3].transpose(0, 2, 1) + group[:, None, :, 3]).reshape(-1, 3)
        difference = moved - own[KDTree(own, boxsize=1).query(moved)[1]]
        difference -= np.rint(difference)
        if np.linalg.norm(difference @ structure.lattice.matrix, axis=1).max() > tolerance:
            return False
    return True


def group_distance(generated: np.ndarray, reference: np.ndarray, *, merge_last: bool = False) -> float:
    """d_sg: Jensen–Shannon distance (natural logarithm) between space-group frequencies; 0 … sqrt(ln 2).

    All 230 groups have a bin of their own, but that `merge_last` counts 229 and 230 together, as the program behind
    the paper's figures does.
    """
    last = 229 if merge_last else 230
    counts = [
        np.bincount(np.minimum(np.asarray(groups, int), last), minlength=231)[1:] for groups in (generated, reference)
    ]
    return float(jensenshannon(*counts))
