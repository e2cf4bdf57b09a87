"""What a crystal must be: each fault has its reason, and sound crystals pass untouched."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from symmcd.structures.cell import Cell
from symmcd.structures.checks import FARTHEST, LONGEST, check_arrays, check_crystal, is_sound
from symmcd.structures.crystal import StructureError

anything = st.floats(allow_nan=True, allow_infinity=True)


def reason_of(lattice, position, element) -> str:
    try:
        check_crystal(Cell(np.array(lattice, float), np.array(element), np.array(position, float)))
    except StructureError as error:
        return error.reason
    return ""


@pytest.mark.parametrize(
    ("element", "reason"),
    [([1, 118], ""), ([0, 1], "unknown_element"), ([1, 119], "unknown_element"), ([-1, 1], "unknown_element")],
)
def test_elements(element, reason):
    assert reason_of(4 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]], element) == reason


@settings(max_examples=300, deadline=None)
@given(arrays(float, (3, 3), elements=anything | st.floats(-20, 20)), arrays(float, (2, 3), elements=anything))
def test_whatever_passes_is_finite_and_has_a_volume(lattice, position):
    with np.errstate(all="ignore"):
        try:
            check_arrays(lattice, position, np.array([1, 1]))
        except StructureError:
            return
    assert np.isfinite(lattice).all()
    assert np.abs(lattice).max() <= LONGEST
    assert abs(np.linalg.det(lattice)) > 0
    assert np.abs(position).max() <= FARTHEST


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e200])
def test_a_cell_that_is_not_sound(value):
    assert is_sound(4 * np.eye(3), np.zeros((1, 3)))
    with np.errstate(all="ignore"):
        assert not is_sound(4 * np.eye(3) + np.diag([0, 0, value]) * np.array([[1], [1], [value]]), np.zeros((1, 3)))
        assert not is_sound(np.diag([4, 4, 1e-9]), np.zeros((1, 3)))
    if not np.isfinite(value):
        assert not is_sound(4 * np.eye(3), np.array([[0, value, 0]]))


@pytest.mark.parametrize("number", [2, 300, 2000])
def test_two_atoms_on_one_point_among_many(number):
    """Few atoms are compared pair by pair, many through a tree; over the cell's face as well."""
    side = int(np.ceil(number ** (1 / 3)))
    grid = np.stack(np.meshgrid(*[(np.arange(side) + 0.5) / side] * 3), axis=-1).reshape(-1, 3)[:number]
    lattice, element = 3.0 * side * np.eye(3), np.full(number, 11)
    assert reason_of(lattice, grid, element) == ""
    for position in ([grid[-1]], [grid[-1] + [1, -2, 0]], [grid[-1] + [0.05 / (3 * side), 0, 0]]):
        for z, reason in ((11, "redundant"), (17, "disordered")):
            assert reason_of(lattice, np.concatenate([grid, position]), np.append(element, z)) == reason
