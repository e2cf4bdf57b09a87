"""Lists of operations against gemmi's 564 tabulated settings and spglib's names for them."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice

from symmcd.structures.cell import Cell
from symmcd.structures.crystal import StructureError, check_ordered, near_pairs
from symmcd.structures.symmetry_operations import MOST, by_hall, by_symbol, completed, fits_cell, listed

SETTINGS = [(group, tuple(op.triplet() for op in group.operations())) for group in gemmi.spacegroup_table()]


def test_every_tabulated_setting_is_a_group_of_its_number():
    for group, triplets in SETTINGS[::3]:
        operations = listed(triplets)
        assert operations.missing == "", group.xhm()
        assert operations.number == group.number
        assert len(operations) == len(triplets)
        assert by_hall(group.hall).number == group.number


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_less_one_operation_it_is_none_and_comes_back(data):
    group, triplets = data.draw(st.sampled_from([s for s in SETTINGS if len(s[1]) > 2]))
    left = data.draw(st.integers(1, len(triplets) - 1))
    short = listed(tuple(t for i, t in enumerate(triplets) if i != left))
    assert short.missing
    assert short.number == 0
    whole = completed(short)
    assert whole is not None
    assert whole.number == group.number
    np.testing.assert_array_equal(_sorted(whole.matrices), _sorted(listed(triplets).matrices))


def _sorted(matrices: np.ndarray) -> np.ndarray:
    return np.array(sorted(matrices.round(6).reshape(-1, 12).tolist()))


def test_operations_that_no_finite_group_holds():
    shear = listed(("x,y,z", "x+y,y,z"))
    assert shear.missing
    assert completed(shear) is None
    many = listed(("x,y,z", "x+1/24,y,z", "x,y+1/24,z"))
    assert completed(many) is None


@pytest.mark.parametrize(
    "bad", ["x,y", "x,y,z,x", "x,y,w", "x,y,0", "0.5*x,y,z", "1e999,y,z", "x+1/0,y,z", "", "99x,y,z"]
)
def test_what_is_no_operation(bad):
    with pytest.raises(StructureError) as error:
        listed(("x,y,z", bad))
    assert error.value.reason == "unparseable"


def test_more_operations_than_any_group():
    with pytest.raises(StructureError) as error:
        listed(("x,y,z",) * (MOST + 1))
    assert error.value.reason == "too_large"


@pytest.mark.parametrize(
    ("symbol", "setting"),
    [
        ("F d -3 m S", "F d -3 m:1"),
        ("F d -3 m Z", "F d -3 m:2"),
        ("F d -3 m :2", "F d -3 m:2"),
        ("P n -3 n O2", "P n -3 n:2"),
        ("P 2(1)/c", "P 1 21/c 1"),
        ("P 4_2/m n m", "P 42/m n m"),
        ("R -3 m H", "R -3 m:H"),
        ("p m -3 m", "P m -3 m"),
    ],
)
def test_spellings_of_symbols(symbol, setting):
    assert by_symbol(symbol, 90, 120).xhm() == setting


def test_what_is_no_symbol():
    assert by_symbol("P n m q", 90, 120) is None
    assert by_symbol("", 90, 120) is None


def test_operations_fit_the_cells_of_their_family():
    hexagonal, cubic = listed(("x,y,z", "-y,x-y,z", "-x+y,-x,z")), listed(("x,y,z", "y,z,x", "z,x,y"))
    assert fits_cell(hexagonal, Lattice.hexagonal(4, 7).matrix)
    assert fits_cell(hexagonal, Lattice.from_parameters(4, 4.004, 7, 90, 90, 119.97).matrix)
    assert not fits_cell(hexagonal, Lattice.cubic(4).matrix)
    assert fits_cell(cubic, Lattice.cubic(4).matrix)
    assert fits_cell(cubic, Lattice.rhombohedral(4, 70).matrix)
    assert not fits_cell(cubic, Lattice.tetragonal(4, 4.4).matrix)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), number=st.integers(2, 600), cutoff=st.floats(0.05, 0.6))
def test_near_pairs_are_those_of_pymatgen(seed, number, cutoff):
    random = np.random.default_rng(seed)
    lattice = Lattice.from_parameters(*random.uniform(6, 30, 3), *random.uniform(65, 115, 3))
    position = random.random((number, 3))
    position[1] = position[0] + random.normal(0, 0.01, 3)
    pairs, distance = near_pairs(position, lattice.matrix, cutoff)
    expected = lattice.get_all_distances(position, position)
    assert {tuple(p) for p in pairs.tolist()} == {tuple(p) for p in np.argwhere(np.triu(expected < cutoff, 1)).tolist()}
    np.testing.assert_allclose(distance, expected[pairs[:, 0], pairs[:, 1]], atol=1e-9)


@pytest.mark.parametrize(("second", "reason"), [(11, "redundant"), (19, "disordered")])
def test_two_atoms_on_one_site(second, reason):
    crystal = Cell(np.eye(3) * 4, np.array([11, second]), np.array([[0, 0, 0], [0.999, 0, 0]]))
    with pytest.raises(StructureError, match="Na1 and B") as error:
        check_ordered(crystal, ["Na1", "B"])
    assert error.value.reason == reason
