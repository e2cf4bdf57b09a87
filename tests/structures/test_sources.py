"""Local sources: nothing is lost or doubled on the way into splits, and the prototypes are what they claim."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymatgen.analysis.prototypes import AFLOW_PROTOTYPE_LIBRARY
from tests.structures.test_cif import assert_same, rock_salt

from symmcd.errors import InputError
from symmcd.extensions import POTENTIALS
from symmcd.structures import sources
from symmcd.structures.cif import parse_cif
from symmcd.structures.convert import from_structure
from symmcd.structures.read import RawRow
from symmcd.structures.sources import (
    PROTOTYPE_ATOMS,
    covered,
    divided,
    elements_of,
    limited,
    prototypes,
    trainable,
)
from symmcd.structures.standard_cell import reduce_cells, standard_cell


def rows(number):
    return [RawRow(i, f"m{i}", "", {}) for i in range(number)]


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
    with pytest.raises(InputError, match=r"leaves .* without any of the 2 crystals"):
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
    kept, left_out = prototypes().rows, prototypes().left_out
    assert len(kept) + len(left_out) == len(AFLOW_PROTOTYPE_LIBRARY)
    assert len({row.material_id for row in kept} | set(left_out)) == len(AFLOW_PROTOTYPE_LIBRARY)
    for row in kept:
        structure = AFLOW_PROTOTYPE_LIBRARY[row.number - 1]["snl"].structure
        crystal = parse_cif(row.cif)
        assert len(crystal.element) <= PROTOTYPE_ATOMS
        assert set(crystal.element) <= POTENTIALS["chgnet"].elements
        assert_same(crystal, from_structure(structure))


def test_prototypes_reduce_and_spread_over_many_groups():
    crystals = [parse_cif(row.cif) for row in prototypes().rows]
    cells = [standard_cell(c, 0.1) for c in crystals]
    units, _, failures = reduce_cells(cells, [""] * len(cells), 0.1)
    assert failures == {}
    assert len(units) > 200
    assert len(np.unique(units.space_group)) > 80


def elements_in(*texts):
    """Rows whose crystals have these atomic numbers, ``3 8``; one without cannot be read."""
    return [RawRow(i, f"m{i}", text, {}) for i, text in enumerate(texts)]


@pytest.fixture
def named(monkeypatch):
    """Elements written out in place of a CIF."""
    monkeypatch.setattr(sources, "elements_of", lambda row: frozenset(map(int, row.cif.split())) or None)


def unseen(parts):
    seen = {z for row in parts["train"] for z in row.cif.split()}
    return [row for row in parts["val"] if not set(row.cif.split()) <= seen]


SETS = st.lists(st.sets(st.integers(1, 6), min_size=0, max_size=3), min_size=6, max_size=40)


@given(crystals=SETS, seed=st.integers(0, 2**16))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_split_is_mended_without_loss_where_it_cannot_train(named, crystals, seed):
    rows = elements_in(*(" ".join(map(str, sorted(one))) for one in crystals))
    before = divided(rows, (0.6, 0.2, 0.2), seed) if len(rows) > 9 else None
    if before is None:
        before = {"train": rows[:-4], "val": rows[-4:-2], "test": rows[-2:]}
    after = trainable(before)
    assert {split: len(part) for split, part in after.items()} == {split: len(part) for split, part in before.items()}
    assert sorted(row.number for part in after.values() for row in part) == list(range(len(rows)))
    assert all([row.number for row in part] == sorted(row.number for row in part) for part in after.values())
    assert after["test"] == before["test"]
    assert trainable(before) == after
    if covered(before["train"], before["val"]):
        assert after == before
    else:
        assert len(unseen(after)) <= len(unseen(before))
    for row in unseen(after) if after != before else []:  # none in train could take its place
        seen = Counter(z for other in after["train"] for z in set(other.cif.split()))
        seen.update(set(row.cif.split()))
        assert not any(other.cif and all(seen[z] > 1 for z in set(other.cif.split())) for other in after["train"])


def test_crystals_of_rare_elements_go_to_the_training_set(named):
    """All of val are oxides that train has not; they change places with rock salts, of which there are enough."""
    parts = {"train": elements_in(*["11 17"] * 5), "val": [], "test": []}
    parts["val"] = [RawRow(10 + i, "v", text, {}) for i, text in enumerate(("8 63", "8 64"))]
    assert not covered(parts["train"], parts["val"])
    after = trainable(parts)
    assert unseen(after) == []
    assert [row.number for row in after["train"]] == [2, 3, 4, 10, 11]
    assert [row.number for row in after["val"]] == [0, 1]


def test_a_split_of_crystals_that_share_nothing_stays(named):
    parts = {"train": elements_in("1", "2", "3"), "val": [RawRow(9, "v", "4", {})], "test": []}
    assert trainable(parts) == parts
    assert not covered(parts["train"], parts["val"])


def test_the_split_of_the_prototypes_is_the_one_it_was():
    rows_ = prototypes().rows
    for seed in range(3):
        parts = divided(rows_, (0.6, 0.2, 0.2), seed)
        assert trainable(parts) == parts


def test_elements_of_a_cif():
    assert elements_of(RawRow(1, "a", rock_salt(), {})) == {11, 17}
    assert elements_of(RawRow(1, "a", "data_x\n", {})) is None
