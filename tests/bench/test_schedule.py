"""The cheapest times are those that trying all of them finds, and more steps never cost more."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symmcd.diffusion.noise_schedule import cosine_alpha_bar, geometric_sigma


def total(cost, times) -> float:
    return sum(cost[t, s] for t, s in itertools.pairwise(times))


@given(st.integers(0, 10_000), st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_no_other_times_are_cheaper(seed, steps):
    from schedule import cheapest

    whole = 9
    cost = np.random.default_rng(seed).random((whole + 1, whole + 1))
    found = cheapest(cost, steps)
    assert (found[0], found[-1], len(found)) == (whole, 1, steps + 1)
    assert all(t > s for t, s in itertools.pairwise(found))
    every = ((whole, *reversed(inner), 1) for inner in itertools.combinations(range(2, whole), steps - 1))
    assert total(cost, found) == pytest.approx(min(total(cost, times) for times in every))


def test_steps_go_where_they_cost_most():
    """A cost that is the square of what a step skips of some quantity: the best steps skip equal parts of it."""
    from schedule import cheapest

    quantity = np.concatenate([[0.0], np.linspace(0, 1, 100) ** 3])
    cost = (quantity[:, None] - quantity[None, :]) ** 2
    times = cheapest(cost, 10)
    np.testing.assert_allclose(-np.diff(quantity[times]), 0.1, atol=0.02)


@pytest.mark.parametrize("power", [0, 2])
def test_splitting_a_step_never_costs_more(power):
    """A step less long asks the denoiser once more, with less noise: the bound can only rise (Kingma et al. 2021).

    True as long as what it errs does not grow as noise falls: |z - ẑ|² of the lattice, σ² |ŝ - s|² of the coordinates.
    """
    from schedule import step_costs

    whole = 24
    process = SimpleNamespace(alpha_bar=cosine_alpha_bar(whole), sigma=geometric_sigma(whole, 0.005, 0.5))
    times = np.arange(whole + 1)
    costs = step_costs(SimpleNamespace(process=process), times**power, process.sigma.numpy().clip(0.005) ** -power)
    for cost, (t, middle, s) in itertools.product(costs, itertools.combinations(range(whole, 0, -1), 3)):
        assert cost[t, s] > 0
        assert cost[t, middle] + cost[middle, s] <= cost[t, s] * (1 + 1e-9)
