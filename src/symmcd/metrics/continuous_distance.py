"""Average minimum distances: a continuous fingerprint of where atoms are, whatever they are.

AMD_i is the distance from an atom to its i-th nearest neighbour, averaged over the atoms of the cell (Widdowson et al.,
MATCH 87, 529 (2022)).  It is the same for every cell and origin of a crystal, and moves little when atoms move little,
where a matcher says only yes or no.  Crystals are compared by the largest difference of their first 100 entries
(Chebyshev distance, Å), as xtalmet does (Negishi et al., arXiv:2510.12405).
"""

from __future__ import annotations

import functools

import numpy as np
from pymatgen.core import Structure
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.orbit import Crystals, replicate_flat
from symmcd.crystallography.wyckoff import wyckoff_table

NEIGHBOURS = 100
ROWS = 256  # crystals compared with all others at once, to bound the memory


def average_minimum_distances(
    lattice: np.ndarray,
    position: np.ndarray,
    neighbours: int = NEIGHBOURS,
    centres: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """(neighbours,) AMD of a crystal, Å, ascending.

    Args:
        lattice: (3, 3) rows, Å.
        position: (N, 3) fractional, in any cell.
        neighbours: k.
        centres: (M,) atoms to start from; one of each orbit is enough.  All where not given.
        weights: (M,) of the centres, the multiplicities of the orbits.
    """
    centres = np.arange(len(position)) if centres is None else centres
    volume = abs(np.linalg.det(lattice))
    apart = position - position[centres][:, None]
    apart -= np.rint(apart)  # the nearest image along each axis lies within half a cell
    apart = apart @ lattice
    height = np.linalg.norm(np.linalg.inv(lattice), axis=0)  # 1/Å, of the reciprocal vectors
    # a sphere with k + 1 atoms on average; twice the volume for unevenness, and larger while a centre lacks neighbours
    radius = (3 * 2 * (neighbours + 1) * volume / (4 * np.pi * len(position))) ** (1 / 3)
    while True:
        cells = _cells(*np.floor(radius * height + 0.5).astype(int).tolist()) @ lattice
        # (M, N, cells), axis by axis: twice as fast as vectors (M, N, cells, 3) and their squares
        squared = sum((apart[:, :, None, x] + cells[:, x]) ** 2 for x in range(3)).reshape(len(centres), -1)
        if squared.shape[1] > neighbours:  # itself comes first, at distance 0
            nearest = np.sqrt(np.sort(np.partition(squared, neighbours, axis=1)[:, : neighbours + 1], axis=1))
            if nearest[:, -1].max() <= radius:  # complete: no image beyond the cells looked at is nearer
                return np.average(nearest[:, 1:], axis=0, weights=weights)
        radius *= 1.25


@functools.lru_cache(maxsize=1000)
def _cells(a: int, b: int, c: int) -> np.ndarray:
    """(cells, 3) all whole translations from (-a, -b, -c) to (a, b, c)."""
    return np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in (a, b, c)), indexing="ij"), axis=-1).reshape(-1, 3)


def distances_of_units(
    units: AsymmetricUnits, neighbours: int = NEIGHBOURS, crystals: Crystals | None = None
) -> np.ndarray:
    """(B, neighbours) AMD of each crystal, from one atom per orbit; `crystals` where they are replicated already."""
    crystals = crystals or replicate_flat(units)
    multiplicity = wyckoff_table().multiplicity[units.wyckoff]
    rows = np.empty((len(units), neighbours))
    for i in range(len(units)):
        atoms = slice(crystals.start[i], crystals.start[i + 1])
        _, first = np.unique(crystals.orbit[atoms], return_index=True)
        of_orbit = multiplicity[units.start[i] : units.start[i + 1]]
        rows[i] = average_minimum_distances(
            crystals.lattice[i], crystals.position[atoms], neighbours, centres=first, weights=of_orbit
        )
    return rows


def distances_of_structure(structure: Structure, neighbours: int = NEIGHBOURS) -> np.ndarray:
    """(neighbours,) AMD of a crystal in any cell with a volume."""
    lattice = structure.lattice.get_lll_reduced_lattice()  # a long thin cell would need a great many images
    position = lattice.get_fractional_coords(structure.cart_coords)
    return average_minimum_distances(lattice.matrix, position, neighbours)


def nearest(rows: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """(B,) Chebyshev distance from each row to the nearest reference row, Å."""
    return cKDTree(reference).query(rows, p=np.inf)[0]


def diversity(rows: np.ndarray) -> float:
    """Mean Chebyshev distance of two different rows, Å; nan of fewer than two."""
    if len(rows) < 2:
        return float("nan")
    total = sum(cdist(rows[i : i + ROWS], rows, "chebyshev").sum() for i in range(0, len(rows), ROWS))
    return float(total / (len(rows) * (len(rows) - 1)))
