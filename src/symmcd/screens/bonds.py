"""Bonds by tabulated radii: dimensionality of what they hold together, and the shortest distance.

Radii are covalent ones (Cordero et al. 2008, from ASE).  Two atoms are bonded if their distance is below 1.2 of the sum
of their radii.  Bonds of salts, metals and molecules are shorter (K metal 1.14, CsCl 1.03), gaps between layers and
molecules are longer (I2 1.26, graphite 2.2).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ase.data import covalent_radii
from pymatgen.analysis.dimensionality import get_dimensionality_larsen
from pymatgen.analysis.graphs import StructureGraph
from pymatgen.core import Structure

from symmcd.extensions import Screen
from symmcd.screens.crystal import ScreenedCrystal

BONDED = 1.2  # share of the sum of two radii
NO_RADIUS = 0.2  # Å, what ASE has for an element without one
FARTHEST = 12.0  # Å, how far the nearest atom is looked for


def pairs(structure: Structure, reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Atoms i and j, image of j (n, 3), distance in Å and sum of radii of all pairs nearer than `reach` of that sum."""
    radius = covalent_radii[list(structure.atomic_numbers)]
    i, j, image, distance = structure.get_neighbor_list(float(2 * radius.max() * reach), exclude_self=True)
    total = radius[i] + radius[j]
    near = distance < reach * total
    return i[near], j[near], image[near], distance[near], total[near]


def dimensionality(crystal: ScreenedCrystal) -> int:
    """0 molecules, 1 chains, 2 layers, 3 a framework: the most of all parts that bonds hold together (Larsen 2019)."""
    i, j, image, _, _ = pairs(crystal.structure, BONDED)
    edges: dict[tuple[Any, ...], dict[str, Any]] = {}
    for a, b, shift in zip(i.tolist(), j.tolist(), image.astype(int).tolist(), strict=True):
        opposite = (b, a, (0, 0, 0), tuple(-s for s in shift))
        if opposite not in edges:
            edges[a, b, (0, 0, 0), tuple(shift)] = {}
    return int(get_dimensionality_larsen(StructureGraph.from_edges(crystal.structure, edges)))


def shortest_distance(crystal: ScreenedCrystal) -> float | None:
    """Shortest distance between two atoms, over the sum of their covalent radii."""
    radius = covalent_radii[list(crystal.structure.atomic_numbers)]
    reach = 1.5
    while reach * 2 * radius.max() < FARTHEST:
        _, _, _, distance, total = pairs(crystal.structure, reach)
        if len(distance):
            return float((distance / total).min())
        reach *= 2
    return None


DIMENSIONALITY = Screen(
    "dimensionality of bonds",
    "Directions in which bonds go on: 3 a framework, 2 layers, 1 chains, 0 molecules (Larsen et al. 2019; bonds up to "
    "1.2 of the sum of covalent radii).",
    "symmcd.screens.bonds:dimensionality",
)
SHORTEST_DISTANCE = Screen(
    "shortest distance over the sum of radii",
    "Shortest distance between two atoms, over the sum of their covalent radii (Cordero et al. 2008); below 0.7 two "
    "atoms overlap.",
    "symmcd.screens.bonds:shortest_distance",
)
