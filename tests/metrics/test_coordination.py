"""Site fingerprints against pymatgen's CrystalNN and matminer's featuriser, on prototypes and real crystals."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from matminer.featurizers.site import CrystalNNFingerprint
from pymatgen.analysis.local_env import LocalStructOrderParams, VoronoiNN
from pymatgen.core import Lattice, Structure

from symmcd.metrics.coordination import (
    FingerprintError,
    coordination_shares,
    neighbours,
    site_fingerprint,
    voronoi_faces,
)
from symmcd.metrics.order_parameters import FIRST, LABELS, MOTIFS, Shell, steinhardt
from tests.crystallography.prototypes import prototype

NAMES = ("NaCl", "CsCl", "SrTiO3", "TiO2 rutile", "ZnO", "Al2O3", "ThCr2Si2", "NiAs", "MgZn2", "Bi2Te3", "TiNiSi")
UNORDERED = LABELS.index("body-centered cubic CN_8")  # pymatgen takes each pair of neighbours once, in no fixed order


@pytest.fixture(scope="module")
def featuriser() -> CrystalNNFingerprint:
    return CrystalNNFingerprint.from_preset("ops")


def arrays(structure: Structure) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return structure.lattice.matrix, structure.frac_coords, np.array(structure.atomic_numbers)


def test_entries_are_matminers(featuriser: CrystalNNFingerprint) -> None:
    assert list(LABELS) == featuriser.feature_labels()


@pytest.mark.parametrize("name", NAMES)
def test_sites_are_matminers(name: str, featuriser: CrystalNNFingerprint) -> None:
    structure = prototype(name)
    for site in range(0, len(structure), 3):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = featuriser.featurize(structure, site)
        difference = np.abs(site_fingerprint(*arrays(structure), site) - expected)
        assert np.delete(difference, UNORDERED).max() < 1e-6
        assert difference[UNORDERED] < 0.02


def test_random_crystals_are_matminers(featuriser: CrystalNNFingerprint) -> None:
    """Without symmetry there are no ties, and the order of the neighbours is no matter of rounding."""
    rng = np.random.default_rng(0)
    for _ in range(8):
        cell = np.diag(rng.uniform(3, 6, 3)) + rng.uniform(-0.8, 0.8, (3, 3))
        structure = Structure(Lattice(cell), rng.choice(["Na", "O", "Fe", "Te"], 4), rng.uniform(size=(4, 3)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = featuriser.featurize(structure, 0)
        assert site_fingerprint(*arrays(structure), 0) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("number", sorted(MOTIFS))
def test_order_parameters_are_pymatgens(number: int, featuriser: CrystalNNFingerprint) -> None:
    """Random neighbours, each order parameter alone, the constants read from matminer's own files."""
    rng = np.random.default_rng(number)
    for _ in range(5):
        vectors = rng.normal(size=(number, 3)) * 2
        cell = Structure(Lattice.cubic(50), ["Na"] * (number + 1), [[0, 0, 0], *vectors], coords_are_cartesian=True)
        for (name, parameter), reference in zip(MOTIFS[number], featuriser.ops[number][1:], strict=True):
            assert isinstance(reference, LocalStructOrderParams)
            expected = reference.get_order_parameters(list(cell), 0, indices_neighs=list(range(1, number + 1)))[0]
            assert parameter(Shell.of(vectors)) == pytest.approx(expected or 0.0, abs=1e-10), name


def test_perfect_polyhedra() -> None:
    octahedron = Shell.of(np.concatenate([np.eye(3), -np.eye(3)]) * 2.1)
    assert {name: f(octahedron) for name, f in MOTIFS[6]}["octahedral"] == pytest.approx(1)
    tetrahedron = Shell.of(np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 1.2)
    assert {name: f(tetrahedron) for name, f in MOTIFS[4]}["tetrahedral"] == pytest.approx(1, abs=1e-3)
    assert steinhardt(octahedron, 4) == pytest.approx(0.76376, abs=1e-5)  # Steinhardt et al. 1983
    assert steinhardt(octahedron, 6) == pytest.approx(0.35355, abs=1e-5)


def test_voronoi_faces_are_pymatgens() -> None:
    structure = prototype("TiNiSi")
    expected = VoronoiNN(cutoff=7.0).get_voronoi_polyhedra(structure, 0)
    vectors, elements, angle, area = voronoi_faces(*arrays(structure), 0)
    theirs = sorted((2 * f["face_dist"], f["solid_angle"], f["area"], f["site"].specie.Z) for f in expected.values())
    ours = sorted(zip(np.linalg.norm(vectors, axis=1), angle, area, elements, strict=True))
    assert np.array(ours) == pytest.approx(np.array([f for f in theirs if f[2] > 1e-9]), abs=1e-6)
    assert angle.sum() == pytest.approx(4 * np.pi)


def test_simple_cubic_by_hand() -> None:
    """Six faces of area a² at a/2, each a sixth of the sphere; one coordination number, an octahedron."""
    vectors, _, angle, area = voronoi_faces(np.eye(3) * 2.4, np.zeros((1, 3)), np.array([84]), 0)
    assert (len(vectors), angle, area) == (6, pytest.approx(4 * np.pi / 6), pytest.approx(2.4**2))
    found = site_fingerprint(np.eye(3) * 2.4, np.zeros((1, 3)), np.array([84]), 0)
    assert found[FIRST[6]] == pytest.approx(1)
    assert found[LABELS.index("octahedral CN_6")] == pytest.approx(1)


def test_neighbours_are_those_of_a_wide_supercell() -> None:
    rng = np.random.default_rng(2)
    cell, position = np.array([[3.0, 0, 0], [1.4, 2.2, 0], [0.3, -0.9, 4.1]]), rng.uniform(size=(3, 3))
    vectors, _ = neighbours(cell, position - position[0], 7.0)
    steps = np.array(list(itertools.product(range(-9, 10), repeat=3)))
    every = ((steps[:, None] + position - position[0]) @ cell).reshape(-1, 3)
    length = np.linalg.norm(every, axis=1)
    assert np.sort(np.linalg.norm(vectors, axis=1)) == pytest.approx(np.sort(length[(length > 1e-9) & (length < 7)]))


def test_shares_are_slices_of_a_quarter_circle() -> None:
    assert coordination_shares(np.array([1.0, 1, 1, 1, 0])) == [(4, pytest.approx(1))]
    (two, first), (three, second) = coordination_shares(np.array([1.0, 1, 0.5]))
    half = (0.5 * np.sqrt(0.75) + np.arcsin(0.5)) / (np.pi / 2)
    assert (two, three) == (2, 3)
    assert (first, second) == (pytest.approx(1 - half), pytest.approx(half))


def test_what_has_no_fingerprint_says_why() -> None:
    twice = np.array([[0, 0, 0], [0, 0, 1e-6]])
    with pytest.raises(FingerprintError, match="atoms_coincide"):
        site_fingerprint(np.eye(3) * 4, twice, np.array([11, 17]), 0)
