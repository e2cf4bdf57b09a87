"""Average minimum distances against all images computed one by one, pymatgen's neighbours, and symmetry."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from scipy.spatial.distance import cdist, pdist

from symmcd import reduce
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.metrics.continuous_distance import (
    average_minimum_distances,
    distances_of_structure,
    distances_of_units,
    diversity,
    nearest,
)
from tests.crystallography.prototypes import prototype

NAMES = ("NaCl", "SrTiO3", "TiO2 rutile", "ZnO", "Al2O3", "TiNiSi")
SKEWED = Structure(
    Lattice([[3.0, 0, 0], [2.9, 3.1, 0], [-1.4, 2.2, 9.0]]),
    ["Na", "Cl", "O"],
    [[0.1, 0, 0.9], [0.5, 1.5, -0.2], [0, 0.3, 0.3]],
)


def brute_force(structure: Structure, neighbours: int, images: int = 12) -> np.ndarray:
    """Distances to all atoms of (2 · 12 + 1)³ cells, sorted."""
    shifts = np.array(np.meshgrid(*[np.arange(-images, images + 1)] * 3)).reshape(3, -1).T @ structure.lattice.matrix
    rows = []
    for site in structure.cart_coords:
        distance = np.concatenate([np.linalg.norm(other + shifts - site, axis=1) for other in structure.cart_coords])
        rows.append(np.sort(distance)[1 : neighbours + 1])
    return np.mean(rows, axis=0)


@pytest.mark.parametrize("structure", [prototype("NaCl").get_primitive_structure(), prototype("ZnO"), SKEWED])
@pytest.mark.parametrize("neighbours", [1, 12, 100])
def test_every_image_by_brute_force(structure: Structure, neighbours: int) -> None:
    found = average_minimum_distances(structure.lattice.matrix, structure.frac_coords, neighbours)
    assert found == pytest.approx(brute_force(structure, neighbours), abs=1e-9)


def test_pymatgens_neighbours() -> None:
    structure = prototype("TiO2 rutile")
    expected = [np.sort([n.nn_distance for n in neighbours])[:30] for neighbours in structure.get_all_neighbors(7.0)]
    assert distances_of_structure(structure, 30) == pytest.approx(np.mean(expected, axis=0), abs=1e-8)


def test_rock_salt_by_hand() -> None:
    """6 neighbours at a/2, 12 at a/√2, 8 at a√3/2."""
    a = prototype("NaCl").lattice.a
    expected = [a / 2] * 6 + [a / np.sqrt(2)] * 12 + [a * np.sqrt(3) / 2] * 8
    assert distances_of_structure(prototype("NaCl"), 26) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_and_the_asymmetric_unit_say_the_same(name: str) -> None:
    structure = prototype(name)
    turned = structure.copy()
    turned.make_supercell([[1, 1, 0], [0, 1, 0], [0, 1, 2]])
    turned.translate_sites(range(len(turned)), [0.3, 0.7, 0.123])
    unit = AsymmetricUnits.from_units([reduce(structure)])
    expected = distances_of_structure(structure)
    assert distances_of_structure(turned) == pytest.approx(expected, abs=1e-8)
    assert distances_of_units(unit)[0] == pytest.approx(expected, abs=2e-3)  # reduced: idealised


def test_a_small_displacement_moves_it_no_further() -> None:
    """Continuity: an atom moved by 0.01 Å changes no entry by more than twice that."""
    moved = prototype("TiNiSi").copy()
    moved.translate_sites([0], [0.01, 0, 0], frac_coords=False)
    change = np.abs(distances_of_structure(moved) - distances_of_structure(prototype("TiNiSi"))).max()
    assert 0 < change <= 0.02


def test_nearest_and_diversity_are_scipys() -> None:
    rng = np.random.default_rng(0)
    rows, others = rng.random((300, 100)), rng.random((50, 100))
    assert nearest(rows, others) == pytest.approx(cdist(rows, others, "chebyshev").min(axis=1))
    assert diversity(rows) == pytest.approx(pdist(rows, "chebyshev").mean())
    assert np.isnan(diversity(rows[:1]))
