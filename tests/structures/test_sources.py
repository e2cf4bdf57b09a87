"""Local sources: nothing is lost or doubled on the way into splits, and the prototypes are what they claim."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.analysis.prototypes import AFLOW_PROTOTYPE_LIBRARY
from tests.structures.test_cif import assert_same

from symmcd.errors import InputError
from symmcd.stability.potential import KNOWN_ELEMENTS
from symmcd.structures.cif import parse_cif
from symmcd.structures.convert import from_structure
from symmcd.structures.read import Row
from symmcd.structures.sources import CHGNET_ELEMENTS, PROTOTYPE_ATOMS, divided, limited, prototypes
from symmcd.structures.symmetry import reduce_cells, standard_cell


def rows(number):
    return [Row(i, f"m{i}", "", {}) for i in range(number)]


@given(number=st.integers(30, 400), first=st.floats(0.1, 0.6), second=st.floats(0.1, 0.3), seed=st.integers(0, 2**32))
def test_splits_share_out_every_row_once(number, first, second, seed):
    shares = (first, second, 1 - first - second)
    parts = divided(rows(number), shares, seed)
    together = [row.number for part in parts.values() for row in part]
    assert sorted(together) == list(range(number))
    for part, share in zip(parts.values(), shares, strict=True):
        assert abs(len(part) - share * number) <= 1
        assert [row.number for row in part] == sorted(row.number for row in part)
    assert divided(rows(number), shares, seed) == parts


def test_another_seed_divides_differently():
    assert divided(rows(100), (0.6, 0.2, 0.2), 0) != divided(rows(100), (0.6, 0.2, 0.2), 1)


def test_too_few_crystals_to_divide():
    with pytest.raises(InputError, match=r"leaves .* of 2 crystals empty"):
        divided(rows(2), (0.6, 0.2, 0.2), 0)


@given(number=st.integers(1, 100), limit=st.integers(0, 120), seed=st.integers(0, 1000))
def test_limit_draws_a_subset_in_order(number, limit, seed):
    drawn = [row.number for row in limited(rows(number), limit, seed)]
    assert len(drawn) == (min(limit, number) if limit else number)
    assert drawn == sorted(set(drawn))
    assert drawn == [row.number for row in limited(rows(number), limit, seed)]


def test_every_row_may_be_drawn():
    seen = {row.number for seed in range(60) for row in limited(rows(10), 3, seed)}
    assert seen == set(range(10))


def test_prototypes_are_all_there_or_named_as_left_out():
    kept, left_out = prototypes()
    assert len(kept) + len(left_out) == len(AFLOW_PROTOTYPE_LIBRARY)
    assert len({row.material_id for row in kept} | set(left_out)) == len(AFLOW_PROTOTYPE_LIBRARY)
    for row in kept:
        structure = AFLOW_PROTOTYPE_LIBRARY[row.number - 1]["snl"].structure
        crystal = parse_cif(row.cif)
        assert len(crystal.element) <= PROTOTYPE_ATOMS
        assert set(crystal.element) <= KNOWN_ELEMENTS
        assert_same(crystal, from_structure(structure))


def test_elements_are_those_that_the_relaxation_accepts():
    assert CHGNET_ELEMENTS == KNOWN_ELEMENTS


def test_prototypes_reduce_and_spread_over_many_groups():
    crystals = [parse_cif(row.cif) for row in prototypes()[0]]
    cells = [standard_cell(c.lattice, c.position, c.element, 0.1) for c in crystals]
    units, _, failures = reduce_cells(cells, [""] * len(cells), 0.1)
    assert failures == {}
    assert len(units) > 200
    assert len(np.unique(units.space_group)) > 80
