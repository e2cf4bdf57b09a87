"""Faults of a crystal that cannot be used, and distances in a cell."""

from __future__ import annotations

import numpy as np

from symmcd.crystallography.composition import HEAVIEST
from symmcd.errors import InputError
from symmcd.structures.cell import Cell

__all__ = [
    "HEAVIEST",
    "MOST_ATOMS",
    "SAME_SITE",
    "StructureError",
    "check_ordered",
    "distances",
    "near_pairs",
]

SAME_SITE = 0.1
"""Å: images of an atom this close are one atom, on a special position that the file gives rounded; two different atoms
this close are disorder.  No two atoms of an ordered crystal are nearer than 0.7 Å (H₂)."""

MOST_ATOMS = 10_000
"""Atoms of a cell: the search for symmetry takes some seconds for so many, and minutes for more."""

_ROWS = 256  # atoms whose distances to all others are computed at once, to bound the memory
_FAR = 0.1  # share of the cell: beyond it a tree finds too many pairs to gain anything


class StructureError(InputError):
    """A crystal that cannot be used; `reason` is short and fixed, `detail` says what was found.

    Reasons: unparseable, several_crystals, no_atoms, bad_cell, bad_position, disordered, redundant, unknown_element,
    unknown_space_group, not_a_group, contradiction, too_large.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def check_ordered(crystal: Cell, names: list[str]) -> None:
    """Refuse two atoms on one site.

    Raises:
        StructureError: disordered for two elements, redundant for one atom listed twice.
    """
    pairs, distance = near_pairs(crystal.position, crystal.lattice, SAME_SITE)
    if len(pairs):
        (i, j), gap = pairs[0], distance[0]
        if crystal.element[i] == crystal.element[j]:
            raise StructureError("redundant", f"{names[i]} and {names[j]} are one atom ({gap:.3f} Å apart)")
        raise StructureError("disordered", f"{names[i]} and {names[j]} are on one site ({gap:.3f} Å apart)")


def near_pairs(position: np.ndarray, lattice: np.ndarray, cutoff: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (n, 2), first index below the second, of atoms nearer than `cutoff` Å, and their distances (n,) in Å.

    A cutoff far below the cell's lengths is meant: of each pair one image is looked at.
    """
    if len(position) > _ROWS and (reach := _reach(lattice, cutoff)) < _FAR:
        from scipy.spatial import KDTree  # not before it is needed

        tree = KDTree(position % 1.0 % 1.0, boxsize=1.0)
        pairs = np.sort(tree.query_pairs(reach, output_type="ndarray"), axis=1)
        pairs = pairs[np.lexsort(pairs.T[::-1])]
        difference = position[pairs[:, 0]] - position[pairs[:, 1]]
        difference -= np.rint(difference)
        gap = np.linalg.norm(difference @ lattice, axis=1)
        return pairs[gap < cutoff], gap[gap < cutoff]
    if len(position) <= _ROWS:
        apart = distances(position, position, lattice)
        pairs = np.argwhere(np.triu(apart < cutoff, 1))
        return pairs, apart[pairs[:, 0], pairs[:, 1]]
    parts, gaps = [], []
    for first in range(0, len(position), _ROWS):
        rows = distances(position[first : first + _ROWS], position[first:], lattice)
        near = np.argwhere(np.triu(rows < cutoff, 1))
        parts.append(near + first)
        gaps.append(rows[near[:, 0], near[:, 1]])
    return np.concatenate(parts), np.concatenate(gaps)


def _reach(lattice: np.ndarray, distance: float) -> float:
    """Largest difference in fractional coordinates of points that are `distance` Å apart."""
    return float(distance / np.linalg.svd(lattice, compute_uv=False)[-1])


def distances(a: np.ndarray, b: np.ndarray, lattice: np.ndarray) -> np.ndarray:
    """(n, m) distances in Å between points (n, 3) and (m, 3); right where small, as rounding finds the near image."""
    difference = a[:, None] - b
    difference -= np.rint(difference)
    return np.sqrt(((difference @ lattice) ** 2).sum(axis=2))
