"""Validity: hand-computed crystals and formulas, and SMACT's own screening as a second source."""

from __future__ import annotations

import itertools
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pymatgen.core import Composition, Lattice, Structure
from smact.screening import smact_validity

from symmcd.metrics.validity import (
    composition_verdict,
    distances,
    shortest_translation,
    structural_verdict,
    structurally_valid,
)


def rock_salt(a: float) -> Structure:
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


def test_distances_of_rock_salt() -> None:
    near = distances(rock_salt(5.64))
    assert near.between_atoms == pytest.approx(5.64 / 2)
    assert near.with_self == pytest.approx(5.64 / 2)


def test_own_images_count_only_in_the_strict_protocol() -> None:
    """One atom in a cell of 0.4 Å along a: no pair of atoms, but its own image 0.4 Å away."""
    structure = Structure(Lattice.orthorhombic(0.4, 5, 5), ["Fe"], [[0, 0, 0]])
    near = distances(structure)
    assert math.isinf(near.between_atoms)
    assert near.with_self == pytest.approx(0.4)
    assert structurally_valid(structure, near.between_atoms)
    assert not structurally_valid(structure, near.with_self)


def test_images_along_a_diagonal_of_a_skewed_cell() -> None:
    """The shortest own image is b - a, not along an edge."""
    structure = Structure(Lattice.from_parameters(5, 5, 8, 90, 90, 20), ["Fe"], [[0, 0, 0]])
    assert distances(structure).with_self == pytest.approx(2 * 5 * math.sin(math.radians(10)))


@pytest.mark.parametrize("gap", [0.3, 0.49, 0.51, 2.0])
def test_half_an_angstrom_is_the_limit(gap: float) -> None:
    structure = Structure(Lattice.cubic(6), ["Na", "Cl"], [[0, 0, 0], [gap / 6, 0, 0]])
    assert structurally_valid(structure, distances(structure).between_atoms) == (gap >= 0.5)


def test_long_cells_are_invalid() -> None:
    structure = Structure(Lattice.orthorhombic(3, 3, 40.5), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    assert not structurally_valid(structure, distances(structure).between_atoms)


def test_distances_against_pymatgens_neighbour_search() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        structure = Structure(
            Lattice.from_parameters(*rng.uniform(3, 7, 3), *rng.uniform(60, 120, 3)), ["C"] * 4, rng.random((4, 3))
        )
        nearest = min(n.nn_distance for site in structure.get_all_neighbors(12) for n in site)
        assert distances(structure).with_self == pytest.approx(nearest)


@pytest.mark.parametrize(
    ("formula", "verdict"),
    [
        ("NaCl", "valid"),
        ("SrTiO3", "valid"),
        ("NaCl2", "invalid"),  # +1 and twice -1 (chlorine's other states are positive)
        ("Fe3Al", "valid"),  # an alloy of metals
        ("Si", "valid"),  # an element
        ("HeO", "invalid"),  # helium has no oxidation state
    ],
)
def test_compositions_by_hand(formula: str, verdict: str) -> None:
    assert composition_verdict(formula, 10.0) == verdict


FORMULAS = [
    "LiCoO2",
    "MgAl2O4",
    "TiO2",
    "CaF2",
    "Bi2Te3",
    "GaAs",
    "NaO4",
    "KMnO4",
    "BaS3",
    "CsPbI3",
    "LaNi5",
    "Na3P",
    "AlN3",
    "ZrSiS",
    "U3Si2",
]


@pytest.mark.parametrize("formula", FORMULAS)
def test_compositions_against_smacts_own_screening(formula: str) -> None:
    expected = smact_validity(
        Composition(formula), use_pauling_test=True, include_alloys=True, oxidation_states_set="smact14"
    )
    assert (composition_verdict(formula, 10.0) == "valid") == expected


def test_the_verdict_is_that_of_the_reduced_formula() -> None:
    assert composition_verdict("Na4Cl4", 10.0) == composition_verdict("NaCl", 10.0)


def test_large_cells_are_measured_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    structure = Structure(Lattice.from_parameters(9, 8, 7, 80, 95, 110), ["C"] * 31, rng.random((31, 3)))
    matrix = structure.distance_matrix
    monkeypatch.setattr("symmcd.metrics.validity.ROWS", 7)
    assert distances(structure).between_atoms == pytest.approx(matrix[~np.eye(31, dtype=bool)].min())


@given(arrays(float, (3, 3), elements=st.floats(-5, 5)))
def test_no_lattice_vector_is_shorter(matrix: np.ndarray) -> None:
    """Against an exhaustive search; sheared cells, too, whose shortest vector has large coefficients."""
    assume(abs(np.linalg.det(matrix)) > 1)
    sheared = np.array([[1, 0, 0], [2, 1, 0], [-3, 2, 1]]) @ matrix
    steps = np.array([s for s in itertools.product(range(-12, 13), repeat=3) if any(s)])
    assert shortest_translation(Lattice(sheared)) <= np.linalg.norm(steps @ sheared, axis=1).min() + 1e-9
    coefficients = np.linalg.norm(steps @ matrix, axis=1)
    assert shortest_translation(Lattice(sheared)) == pytest.approx(shortest_translation(Lattice(matrix)), abs=1e-9)
    assert coefficients.min() >= shortest_translation(Lattice(matrix)) - 1e-9


def test_the_shortest_vector_need_not_be_in_a_reduced_basis() -> None:
    """LLL leaves this basis as it is, with vectors of 5, 4.84 and 4.23 Å; c - b is shorter."""
    lattice = Lattice([[5, 0, 0], [2.358, 4.225, 0], [1.988, 1.946, 3.189]])
    assert shortest_translation(lattice) == pytest.approx(np.linalg.norm([-0.370, -2.279, 3.189]))


@pytest.mark.parametrize(
    ("lattice", "gap", "verdict"),
    [
        (Lattice.cubic(6), 0.4 / 6, "too_close"),
        (Lattice.orthorhombic(0.3, 0.3, 1.05), 0.5, "too_small"),
        (Lattice.orthorhombic(3, 3, 40.5), 0.5, "too_long"),
        (Lattice.cubic(6), 0.5, "valid"),
    ],
)
def test_the_first_condition_that_fails_is_named(lattice: Lattice, gap: float, verdict: str) -> None:
    structure = Structure(lattice, ["Na", "Cl"], [[0, 0, 0], [0, 0, gap]])
    assert structural_verdict(structure, distances(structure).between_atoms) == verdict


def test_compositions_are_judged_in_any_thread() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(composition_verdict, "Li3PO4", 9.0).result() == "valid"


def test_beyond_ten_million_combinations_a_composition_is_invalid() -> None:
    """Eleven many-valued elements and oxygen."""
    assert composition_verdict("MnFeRuOsReCrVNSPClO", 10.0) == "too_many"


def test_a_time_limit_is_a_verdict() -> None:
    assert composition_verdict("Mn3Fe5Co7Ni9Cr11V13", 1e-6) in {"timed_out", "valid"}
    assert composition_verdict("Mn3Fe5Ru7Os9Re11N13S17", 1e-6) == "timed_out"
