"""Dense batches hold exactly the flat units, and cutting them into groups is exhaustive and cheapest."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from symmcd.batch import OrbitBatch, laid_flat, split_by_count, within_memory
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.errors import InputError
from tests.diffusion.crystals import random_state, random_units


def test_dense_batch_holds_the_flat_units():
    units = random_units(20)
    batch = OrbitBatch.from_units(units, pad_to=9)
    assert batch.mask.shape == (20, 9)
    for i in range(20):
        unit, m = units[i], int(batch.count[i])
        assert int(batch.space_group[i]) == unit.space_group
        assert batch.mask[i].tolist() == [True] * m + [False] * (9 - m)
        np.testing.assert_array_equal(batch.element[i, :m], unit.element)
        np.testing.assert_array_equal(batch.site_symmetry[i, :m], unit.site_symmetry)
        np.testing.assert_allclose(batch.position[i, :m], unit.position, atol=1e-6)
        assert not batch.element[i, m:].any()
        assert not batch.position[i, m:].any()
    np.testing.assert_allclose(batch.k, units.k, atol=1e-6)


def test_select_takes_rows_and_cuts_orbits():
    batch = OrbitBatch.from_units(random_units(10))
    rows = torch.tensor([7, 2])
    part = batch.select(rows, 3)
    assert part.site_symmetry.shape == (2, 3, 15)
    torch.testing.assert_close(part.position, batch.position[rows, :3])
    assert part.space_group.tolist() == batch.space_group[rows].tolist()


def test_what_a_batch_refuses():
    with pytest.raises(InputError, match=r"crystal 0000\d has"):
        OrbitBatch.from_units(random_units(5, largest=4), pad_to=1)
    with pytest.raises(InputError, match="at least one crystal"):
        OrbitBatch.from_units(AsymmetricUnits.empty())


def cheapest_by_trying_all(count: list[int], overhead: int) -> int:
    sizes = sorted(set(count))
    costs = []
    for borders in itertools.product([False, True], repeat=len(sizes) - 1):
        ends = [size for size, border in zip(sizes, (*borders, True), strict=True) if border]
        padded = [next(end for end in ends if end >= c) for c in count]
        costs.append(sum(p**2 for p in padded) + overhead * len(ends))
    return min(costs)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=30), st.integers(0, 500))
def test_groups_are_exhaustive_and_cheapest(count, overhead):
    count = count if len(set(count)) <= 9 else count[:9]
    groups = split_by_count(torch.tensor(count), overhead)
    assert sorted(torch.cat([rows for rows, _ in groups]).tolist()) == list(range(len(count)))
    assert all(max(count[i] for i in rows) == width for rows, width in groups)
    cost = sum(len(rows) * width**2 for rows, width in groups) + overhead * len(groups)
    assert cost == cheapest_by_trying_all(count, overhead)


def test_batches_laid_flat_keep_every_orbit_in_its_place():
    batch = random_state(9)
    parts = [batch.select(rows, width) for rows, width in split_by_count(batch.count, 0)]
    flat = laid_flat(parts)
    assert flat.space_group.shape == (9,)
    assert flat.mask.all()
    assert len(flat.element) == int(batch.mask.sum())
    start = 0
    for part in parts:
        n = part.element.numel()
        torch.testing.assert_close(
            flat.site_symmetry[start : start + n].view_as(part.site_symmetry), part.site_symmetry
        )
        start += n


@pytest.mark.parametrize("pairs", [1, 30, 10_000])
def test_lots_fit_into_memory_and_are_everything(pairs):
    count = torch.randint(1, 8, (40,), generator=torch.Generator().manual_seed(0))
    lots = list(within_memory(split_by_count(count, 20), pairs))
    assert sorted(torch.cat([rows for lot in lots for rows, _ in lot]).tolist()) == list(range(40))
    for lot in lots:
        assert sum(len(rows) * width**2 for rows, width in lot) <= pairs or sum(len(rows) for rows, _ in lot) == 1
        assert all(int(count[rows].max()) <= width for rows, width in lot)
    if pairs == 10_000:
        assert len(lots) == 1
