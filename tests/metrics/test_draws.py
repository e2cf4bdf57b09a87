"""Distances of random valid crystals: the mean of many draws, with the interval of one."""

from __future__ import annotations

import numpy as np
import pytest

from symmcd.metrics.of_set.distributions import DRAWS, distance_rows, random_draws, wasserstein
from symmcd.metrics.rows import Row


def row(values: np.ndarray, reference: np.ndarray, sample: int, seed: int) -> Row:
    draws, share = random_draws(np.arange(len(values)), sample, seed)
    ours = [values[drawn] for drawn in draws]
    return next(distance_rows("d", "paper", ours, share, reference, wasserstein, seed, ""))


@pytest.mark.parametrize(
    ("candidates", "sample", "draws", "size"), [(9, 10, 1, 9), (19, 10, 1, 10), (20, 10, DRAWS, 10)]
)
def test_many_draws_where_they_are_mostly_of_different_crystals(candidates, sample, draws, size):
    found, share = random_draws(np.arange(candidates) + 100, sample, 0)
    assert len(found) == draws
    assert share == pytest.approx(min(1, sample / candidates))
    for one in found:
        assert len(set(one.tolist())) == size
        assert set(one.tolist()) <= set(range(100, 100 + candidates))
    assert draws == 1 or len({tuple(one) for one in found}) > 40


def test_the_interval_is_that_of_one_draw_from_the_model():
    """Long tails, as of densities: fresh draws of 300 lie in the interval as often as it says, whatever the seed."""
    rng = np.random.default_rng(1)
    reference = rng.lognormal(0, 1, 5000)
    found = [row(rng.lognormal(0.1, 1, 1000), reference, 300, seed) for seed in range(12)]
    fresh = np.array([wasserstein(rng.lognormal(0.1, 1, 300), reference) for _ in range(400)])
    covered = np.mean([(fresh > r.low) & (fresh < r.high) for r in found])
    assert 0.9 < covered < 0.99
    values = np.array([r.value for r in found])
    assert values.std() < 0.7 * fresh.std()  # of 1,000 crystals, not of 300
    assert values.mean() == pytest.approx(fresh.mean(), rel=0.15)
