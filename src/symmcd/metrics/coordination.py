"""Coordination of a site by CrystalNN (pymatgen): weights of coordination numbers from one Voronoi cell.

Pan et al., Inorg. Chem. 60, 1590 (2021).  The rules and constants are those of pymatgen's ``CrystalNN()`` on elements
without oxidation states.  What is different is the way: only the Voronoi cell of the site itself is made (convex hull
of the inverted neighbours), and no object per neighbour.
"""

from __future__ import annotations

import functools
import itertools
import math
import warnings

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from symmcd.errors import InputError
from symmcd.metrics.order_parameters import FIRST, HIGHEST, LABELS, MOTIFS, Shell

SEARCH = 7.0
"""Å, first radius of the neighbour search; doubled while the Voronoi cell is not closed."""
COINCIDENT = 1e-4
"""Å: two atoms nearer than this leave no Voronoi cell to compute with."""
FULL, NONE = 0.5, 1.0
"""Å beyond the sum of covalent radii: up to which a neighbour counts fully, from which not at all."""
CHEMISTRY = 3.0
"""Extra weight of a neighbour of another electronegativity."""
SLIVER = 1e-10
"""Å², area of a face below which it is rounding."""


class FingerprintError(InputError):
    """A crystal without fingerprint; `reason` is short and fixed."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@functools.cache
def element_table() -> tuple[np.ndarray, np.ndarray]:
    """Pauling electronegativity and covalent radius (Å) of each atomic number, (119,); nan where pymatgen has none."""
    from pymatgen.analysis.molecule_structure_comparator import CovalentRadius
    from pymatgen.core import Element

    electronegativity, radius = np.full(119, np.nan), np.full(119, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # noble gases have no electronegativity, and pymatgen says so each time
        for number in range(1, 119):
            element = Element.from_Z(number)
            electronegativity[number] = element.X
            own = CovalentRadius.radius.get(element.symbol, element.atomic_radius)
            radius[number] = np.nan if own is None else float(own)
    return electronegativity, radius


def site_fingerprint(lattice: np.ndarray, position: np.ndarray, element: np.ndarray, site: int) -> np.ndarray:
    """(61,) weights of coordination numbers 1..24 and their order parameters (`order_parameters.LABELS`).

    Args:
        lattice: (3, 3) rows, Å.
        position: (N, 3) fractional.
        element: (N,) atomic numbers.
        site: index of the atom.

    Raises:
        FingerprintError: coinciding atoms, no closed Voronoi cell, or an element without radius.
    """
    vectors, others, solid_angle, area = voronoi_faces(lattice, position, element, site)
    weight = neighbour_weights(vectors, int(element[site]), others, solid_angle, area)
    order = np.argsort(-weight, kind="stable")
    rounded = np.round(weight[order], 3)
    vectors = vectors[order]
    vector = np.zeros(len(LABELS))
    for number, share in coordination_shares(rounded):
        if number > HIGHEST:
            continue
        entry = FIRST[number]
        vector[entry] = share
        if number in MOTIFS:
            shell = Shell.of(vectors[:number])
            for offset, (_, parameter) in enumerate(MOTIFS[number], start=1):
                vector[entry + offset] = share * parameter(shell)
    return vector


def neighbours(lattice: np.ndarray, difference: np.ndarray, cutoff: float) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (n, 3) in Å from an atom to all others within `cutoff`, and which atom each is (n,).

    Args:
        lattice: (3, 3) rows, Å.
        difference: (N, 3) fractional, from the atom to each atom of the cell; its own row is zero.
        cutoff: Å.
    """
    spacing = 1 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
    difference = difference - np.rint(difference)
    reach = np.floor(cutoff / spacing + 0.5).astype(int)
    images = np.array(list(itertools.product(*(range(-r, r + 1) for r in reach))))
    vectors = (images @ lattice)[:, None, :] + (difference @ lattice)[None]
    squared = (vectors**2).sum(axis=2)
    own = (images == 0).all(axis=1)[:, None] & (difference == 0).all(axis=1)[None]
    near = (squared < cutoff**2) & ~own
    return vectors[near], np.nonzero(near)[1]


def voronoi_faces(
    lattice: np.ndarray, position: np.ndarray, element: np.ndarray, site: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Neighbours across the faces of a site's Voronoi cell.

    Returns:
        vectors (n, 3) Å, elements (n,), solid angles (n,) of the faces, areas (n,) Å².

    Raises:
        FingerprintError: coinciding atoms, or the cell is not closed even with all neighbours within its diagonal.
    """
    difference = position - position[site]
    difference[site] = 0.0
    corners = np.array([[1, 1, 1], [-1, 1, 1], [1, -1, 1], [1, 1, -1]]) @ lattice
    longest = float(np.linalg.norm(corners, axis=1).max()) + 0.01
    cutoff = SEARCH
    while True:
        vectors, atom = neighbours(lattice, difference, cutoff)
        squared = (vectors**2).sum(axis=1)
        if len(squared) and squared.min() < COINCIDENT**2:
            raise FingerprintError("atoms_coincide", f"atom {site} has another within {COINCIDENT} Å")
        cell = _cell(vectors, squared)
        if cell is not None:
            face, solid_angle, area = cell
            return vectors[face], element[atom[face]], solid_angle, area
        if cutoff >= longest:
            raise FingerprintError(
                "open_voronoi_cell", f"atom {site}: no closed coordination shell with neighbours up to {cutoff:.1f} Å"
            )
        cutoff = min(2 * cutoff, longest + 0.001)


def _cell(vectors: np.ndarray, squared: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Faces (indices), their solid angles and areas; None if the cell is not closed.

    The cell is {x : v · x ≤ |v|²/2 for all v}.  The points 2 v/|v|² span its dual: a vertex of their hull is a face of
    the cell, a facet of the hull is a vertex of the cell.
    """
    if len(vectors) < 4:
        return None
    try:
        hull = ConvexHull(2 * vectors / squared[:, None])
    except QhullError:
        return None
    offset = hull.equations[:, 3]
    if offset.max() > -1e-10:
        return None
    corner = -hull.equations[:, :3] / offset[:, None]
    # each edge of the hull, between facets f < g and vertices a, b, is an edge f–g of the polygons a and b
    f = np.repeat(np.arange(len(corner)), 3)
    g = hull.neighbors.ravel()
    once = f < g
    a, b = np.roll(hull.simplices, -1, axis=1).ravel()[once], np.roll(hull.simplices, -2, axis=1).ravel()[once]
    face, polygon = np.unique(np.concatenate([a, b]), return_inverse=True)
    first, second = np.tile(corner[f[once]], (2, 1)), np.tile(corner[g[once]], (2, 1))
    centre = (
        np.stack([np.bincount(polygon, first[:, axis] + second[:, axis], len(face)) for axis in range(3)], axis=1)
        / (2 * np.bincount(polygon, minlength=len(face)))[:, None]
    )
    middle = centre[polygon]
    triangle = 0.5 * np.linalg.norm(np.cross(first - middle, second - middle), axis=1)
    p, q, r = (np.linalg.norm(v, axis=1) for v in (middle, first, second))
    volume = np.abs((middle * np.cross(first, second)).sum(axis=1))
    rest = p * q * r + r * (middle * first).sum(axis=1) + q * (middle * second).sum(axis=1)
    angle = 2 * np.arctan2(volume, rest + p * (first * second).sum(axis=1))
    area = np.bincount(polygon, triangle, len(face))
    real = area > SLIVER
    return face[real], np.bincount(polygon, angle, len(face))[real], area[real]


def neighbour_weights(
    vectors: np.ndarray, centre: int, others: np.ndarray, solid_angle: np.ndarray, area: np.ndarray
) -> np.ndarray:
    """(n,) how much each neighbour counts, 0..1.

    Raises:
        FingerprintError: an element without covalent radius.
    """
    electronegativity, radius = element_table()
    weight = solid_angle / solid_angle.max() * solid_angle / area
    contrast = np.abs(electronegativity[others] - electronegativity[centre])
    weight *= 1 + CHEMISTRY * np.sqrt(np.nan_to_num(contrast) / 3.3)
    weight /= weight.max()
    bond = radius[others] + radius[centre]
    if np.isnan(bond).any():
        lacking = sorted({int(z) for z in (centre, *others.tolist()) if np.isnan(radius[z])})
        raise FingerprintError("no_radius", f"no covalent radius of the elements {lacking}")
    beyond = (np.sqrt((vectors**2).sum(axis=1)) - bond - FULL) / (NONE - FULL)
    return weight * 0.5 * (np.cos(np.clip(beyond, 0.0, 1.0) * math.pi) + 1)


def coordination_shares(weight: np.ndarray) -> list[tuple[int, float]]:
    """Coordination numbers and their probabilities: slices of a quarter circle between the distinct weights.

    Args:
        weight: (n,) falling, rounded.
    """
    levels = np.unique(weight[weight > 0])[::-1]
    below = np.append(levels[1:], 0.0)
    number = [(weight >= level).sum() for level in levels]
    share = _quarter(levels) - _quarter(below)
    return [(int(n), float(s)) for n, s in zip(number, share, strict=True)]


def _quarter(x: np.ndarray) -> np.ndarray:
    """Share of a quarter of the unit circle between 0 and x."""
    return (x * np.sqrt(1 - x * x) + np.arcsin(x)) / (math.pi / 2)
