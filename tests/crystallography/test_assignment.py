"""Joint assignment of orbits to positions, against all of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from symmcd.crystallography.assignment import assign


def test_assignment_is_optimal() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        orbits, positions = int(rng.integers(1, 5)), int(rng.integers(2, 6))
        cost = rng.random((orbits, positions))
        single = rng.random(positions) < 0.7
        single[-1] = False
        chosen = assign(cost, single)
        legal = [
            c
            for c in itertools.product(range(positions), repeat=orbits)
            if all(c.count(p) <= 1 for p in np.flatnonzero(single))
        ]
        assert all(chosen.tolist().count(p) <= 1 for p in np.flatnonzero(single))
        best = min(sum(cost[m, p] for m, p in enumerate(c)) for c in legal)
        assert cost[np.arange(orbits), chosen].sum() == pytest.approx(best)
