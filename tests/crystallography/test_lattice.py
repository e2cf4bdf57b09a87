"""Lattice ↔ k, for every crystal family, against pymatgen's cell parameters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Lattice
from scipy.linalg import expm

from symmcd.crystallography.lattice import (
    BASIS,
    HEXAGONAL_K1,
    constrain,
    fixed_coefficients,
    free_coefficients,
    k_from_lattice,
    lattice_from_k,
    lengths_and_angles,
)
from symmcd.crystallography.space_group import crystal_family

length = st.floats(2, 40)


def cell(family: str, a: float, b: float, c: float, alpha: float, beta: float, gamma: float) -> Lattice:
    return {
        "triclinic": lambda: Lattice.from_parameters(a, b, c, alpha, beta, gamma),
        "monoclinic": lambda: Lattice.monoclinic(a, b, c, beta),
        "orthorhombic": lambda: Lattice.orthorhombic(a, b, c),
        "tetragonal": lambda: Lattice.tetragonal(a, c),
        "hexagonal": lambda: Lattice.hexagonal(a, c),
        "cubic": lambda: Lattice.cubic(a),
    }[family]()


@pytest.mark.parametrize(
    ("family", "number"),
    [
        ("triclinic", 2),
        ("monoclinic", 14),
        ("orthorhombic", 62),
        ("tetragonal", 139),
        ("hexagonal", 166),
        ("cubic", 225),
    ],
)
@given(length, length, length, st.floats(70, 110), st.floats(70, 125), st.floats(70, 110))
def test_cell_to_k_and_back(
    family: str, number: int, a: float, b: float, c: float, alpha: float, beta: float, gamma: float
) -> None:
    lattice = cell(family, a, b, c, alpha, beta, gamma)
    k = k_from_lattice(lattice.matrix[None])
    # the group's own constraints hold already, so imposing them changes nothing
    assert np.allclose(constrain(k, np.array([number])), k, atol=1e-9)
    lengths, angles = lengths_and_angles(lattice_from_k(k))
    assert np.allclose(lengths[0], lattice.abc, rtol=1e-9)
    assert np.allclose(angles[0], lattice.angles, atol=1e-6)


@given(st.lists(st.floats(-0.5, 0.5), min_size=6, max_size=6))
def test_k_to_cell_and_back(k: list[float]) -> None:
    assert np.allclose(k_from_lattice(lattice_from_k(np.array([k])))[0], k, atol=1e-9)


def test_k_does_not_see_rotations_of_the_crystal() -> None:
    rng = np.random.default_rng(0)
    lattice = Lattice.from_parameters(4, 5, 7, 80, 95, 105).matrix
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    assert np.allclose(k_from_lattice((lattice @ rotation)[None]), k_from_lattice(lattice[None]))


def test_cell_is_the_matrix_exponential_up_to_a_rotation() -> None:
    k = np.array([0.1, -0.2, 0.05, 0.15, 0.1, 1.5])
    symmetric = expm(np.einsum("i,ijk->jk", k, BASIS))
    made = lattice_from_k(k[None])[0]
    assert np.allclose(made @ made.T, symmetric @ symmetric.T)
    assert np.allclose(np.triu(made, 1), 0)  # a along x, b in the xy plane
    assert np.linalg.det(made) > 0


def test_row_convention_gives_120_degrees() -> None:
    _, angles = lengths_and_angles(lattice_from_k(np.array([[HEXAGONAL_K1, 0, 0, 0, 0.1, 1.5]])))
    assert np.allclose(angles, [[90, 90, 120]])


def test_free_coefficients_per_family() -> None:
    counts = {crystal_family(number): int(free_coefficients()[number - 1].sum()) for number in range(1, 231)}
    assert counts == {"triclinic": 6, "monoclinic": 4, "orthorhombic": 3, "tetragonal": 2, "hexagonal": 2, "cubic": 1}
    assert not (fixed_coefficients()[free_coefficients()]).any()
