"""Room between atoms: the largest sphere that fits in, and the largest that can move through without end.

Atoms are spheres of their covalent radii (Cordero et al. 2008, as ASE has them), which are smaller than those of van
der Waals: numbers compare crystals among each other, and are no pore sizes of adsorption.
"""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
from ase.data import covalent_radii
from pymatgen.core import Structure
from scipy.ndimage import label
from scipy.spatial import cKDTree

from symmcd.extensions import Screen
from symmcd.screens.crystal import ScreenedCrystal

SPACING = 0.35  # Å at most between points of the grid
MULTIPLE = 12  # so that points of high symmetry, where the largest voids are, lie on the grid
MOST_POINTS = 60  # along an edge
FINE = 0.02  # Å, to which the radius of a channel is searched for


def room(structure: Structure) -> np.ndarray:
    """(nx, ny, nz) distance of each point of a grid to the nearest atom's surface, Å; negative inside an atom."""
    lattice = structure.lattice.matrix
    shape = [min(MULTIPLE * int(np.ceil(length / SPACING / MULTIPLE)), MOST_POINTS) for length in structure.lattice.abc]
    axes = [np.arange(n) / n for n in shape]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3) @ lattice
    radius = covalent_radii[list(structure.atomic_numbers)]
    # no point is further from an atom than half the sum of the edges; images that far away are enough
    heights = structure.volume / np.array([np.linalg.norm(np.cross(lattice[i - 2], lattice[i - 1])) for i in range(3)])
    reach = min(0.5 * float(np.sum(structure.lattice.abc)), 15.0) + float(radius.max() - radius.min())
    images = [range(-n, n + 1) for n in np.ceil(reach / heights).astype(int)]
    shifts = np.array(list(itertools.product(*images)))
    nearest = np.full(len(points), np.inf)
    for size in np.unique(radius):
        own = structure.frac_coords[radius == size] % 1.0
        atoms = (own[:, None] + shifts[None]).reshape(-1, 3)
        margin = reach / heights
        inside = ((atoms > -margin) & (atoms < 1 + margin)).all(axis=1)
        nearest = np.minimum(nearest, cKDTree(atoms[inside] @ lattice).query(points)[0] - size)
    return nearest.reshape(shape)


def percolates(open_points: np.ndarray) -> bool:
    """Return whether a path over True points leads from a cell of a crystal to another of its cells.

    Parts that hang together within the cell are joined over its faces, each join with the cell it leads to; a part
    that is reached in two different cells goes on for ever.
    """
    parts, number = label(open_points, np.ones((3, 3, 3)))
    joins: dict[int, set[tuple[int, tuple[int, int, int]]]] = defaultdict(set)
    for shift in itertools.product((-1, 0, 1), repeat=3):
        if shift <= (0, 0, 0):
            continue
        rolled = np.roll(parts, [-s for s in shift], axis=(0, 1, 2))  # the neighbour in this direction
        across = np.zeros(parts.shape, dtype=np.int8)
        cell = [np.zeros(parts.shape, dtype=np.int8) for _ in range(3)]
        for axis, step in enumerate(shift):
            edge = [slice(None)] * 3
            edge[axis] = slice(-1, None) if step > 0 else slice(0, 1)
            if step:
                across[tuple(edge)] = 1
                cell[axis][tuple(edge)] = step
        here = (across > 0) & (parts > 0) & (rolled > 0)
        rows = np.stack([parts[here], rolled[here], *(c[here] for c in cell)], axis=1)
        for a, b, x, y, z in np.unique(rows, axis=0).tolist():
            joins[a].add((b, (x, y, z)))
            joins[b].add((a, (-x, -y, -z)))
    where: dict[int, tuple[int, int, int]] = {}
    for first in range(1, number + 1):
        if first in where:
            continue
        where[first], left = (0, 0, 0), [first]
        while left:
            part = left.pop()
            x, y, z = where[part]
            for other, (dx, dy, dz) in joins[part]:
                cell_of = (x + dx, y + dy, z + dz)
                if other not in where:
                    where[other] = cell_of
                    left.append(other)
                elif where[other] != cell_of:
                    return True
    return False


def largest_void(crystal: ScreenedCrystal) -> float:
    """Radius of the largest sphere between the atoms, Å."""
    return max(0.0, float(room(crystal.structure).max()))


def channel(crystal: ScreenedCrystal) -> float:
    """Radius of the largest sphere that can move on without end, Å; 0 where none can."""
    free = room(crystal.structure)
    low, high = 0.0, float(free.max())
    if high <= 0 or not percolates(free > 0):
        return 0.0
    while high - low > FINE:
        middle = (low + high) / 2
        low, high = (middle, high) if percolates(free > middle) else (low, middle)
    return low


LARGEST_VOID = Screen(
    "radius of the largest void",
    "Radius of the largest sphere that fits between the atoms, which are spheres of their covalent radii (Cordero et "
    "al. 2008).",
    "symmcd.screens.voids:largest_void",
    unit="Å",
)
CHANNEL = Screen(
    "radius of the widest channel",
    "Radius of the largest sphere that can move through the crystal without end; 0 where none can.  Atoms are spheres "
    "of their covalent radii (Cordero et al. 2008).",
    "symmcd.screens.voids:channel",
    unit="Å",
)
