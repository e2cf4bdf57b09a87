"""Sums by segments, which a GPU takes when it samples, are those of `index_add`, and a sampled crystal the same."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from symmcd.diffusion.generator import Generator
from symmcd.diffusion.pretrained import load_pretrained
from symmcd.diffusion.staged.row_sums import RowSums


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), max_size=40), st.sampled_from([(), (3,), (2, 4)]), st.booleans())
def test_segments_add_up_what_index_add_does(index, shape, onto):
    """Indices that nothing belongs to, at the ends or between, and no rows at all."""
    rows = torch.tensor(sorted(index), dtype=torch.int64)
    values = torch.randn(len(rows), *shape, generator=torch.Generator().manual_seed(len(index)))
    base = torch.randn(12, *shape) if onto else None
    expected = (torch.zeros(12, *shape) if base is None else base).index_add(0, rows, values)
    for sums in (RowSums.of(rows, 12), RowSums.by_segments(rows, 12)):
        torch.testing.assert_close(sums.of_rows(values, onto=base), expected)


def test_lowered_rows_are_added_in_single_precision():
    values = torch.full((4096, 1), 1.0, dtype=torch.bfloat16)
    sums = RowSums.by_segments(torch.zeros(4096, dtype=torch.int64), 1)
    assert sums.of_rows(values).dtype == torch.bfloat16
    assert float(sums.of_rows(values)) == 4096


@pytest.fixture(scope="module")
def shipped() -> Generator:
    return load_pretrained("mp20", "cpu")


def test_crystals_are_the_same_by_segments(shipped, monkeypatch):
    """Twenty crystals in five steps: rounding has not grown large yet."""
    expected = shipped.generate(20, seed=3, steps=5, proposals=1)
    monkeypatch.setattr(RowSums, "of", RowSums.by_segments)
    found = shipped.generate(20, seed=3, steps=5, proposals=1)
    for one, other in zip(found, expected, strict=True):
        assert one.letter == other.letter
        torch.testing.assert_close(torch.tensor(one.lattice), torch.tensor(other.lattice), rtol=1e-3, atol=1e-3)
        assert one.element.tolist() == other.element.tolist()
