"""Candidates in the order of E - β log p: what it must be at both ends of β, and where an energy is missing."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.diffusion.crystals import random_units

from symmcd.errors import InputError
from symmcd.stability.outcome import Relaxation
from symmcd.stability.ranking import best_first, ranked, scores

CANDIDATES = st.lists(
    st.tuples(st.none() | st.integers(-900, -100).map(lambda n: n / 100), st.integers(-4000, 0).map(lambda n: n / 100)),
    min_size=1,
    max_size=12,
)


def order(candidates, beta):
    energy, log_probability = zip(*candidates, strict=True)
    return best_first(scores(energy, log_probability, beta)).tolist()


@given(CANDIDATES, st.sampled_from([0.0, 0.01, 0.02, 0.05, 1.0]))
def test_every_pair_is_the_way_round_that_boltzmann_has_it(candidates, beta):
    """One before another if a factor exp(ΔE/β) in probability outweighs the energy; without an energy, last."""
    found = order(candidates, beta)
    assert sorted(found) == list(range(len(candidates)))
    for first, second in itertools.pairwise(found):
        (e, log_p), (f, log_q) = candidates[first], candidates[second]
        if e is None:
            assert f is None
            assert first < second
        elif f is not None:
            assert e - f <= beta * (log_p - log_q) + 1e-9


@given(CANDIDATES, st.integers(-500, 500), st.integers(-50, 50))
def test_zeros_of_energy_and_probability_do_not_matter(candidates, energy, log_probability):
    moved = [(None if e is None else e + energy, p + log_probability) for e, p in candidates]
    score = [scores(*zip(*some, strict=True), 0.25) for some in (candidates, moved)]
    known = np.isfinite(score[0])
    assert np.array_equal(known, np.isfinite(score[1]))
    assert np.allclose(score[1][known] - score[0][known], energy - 0.25 * log_probability)


def test_the_ends_are_energy_and_probability_alone():
    candidates = [(-3.0, -1.0), (-3.5, -9.0), (-3.2, -4.9), (-3.1, -0.5)]
    assert order(candidates, 0) == [1, 2, 3, 0]
    assert order(candidates, 100) == [3, 0, 2, 1]
    assert order(candidates, 0.05) == [3, 1, 2, 0]  # by hand: -3.075, -3.05, -2.955, -2.95


@pytest.mark.parametrize("beta", [-0.01, math.nan, math.inf])
def test_what_is_no_beta_is_refused(beta):
    with pytest.raises(InputError, match="beta = "):
        order([(-3.0, -1.0)], beta)


def test_a_candidate_keeps_what_belongs_to_it():
    """Relaxed unit, probability and status move together; without a relaxed crystal the predicted one stands there."""
    units = list(random_units(4))
    relaxed = list(random_units(3, seed=5))
    results = [
        Relaxation("overlapping", "A", 1),
        Relaxation("converged", "B", 1, energy_relaxed=-2.0, unit=relaxed[0]),
        Relaxation("failed:flat_cell", "C", 1),
        Relaxation("step_limit", "D", 1, energy_relaxed=-2.5, unit=relaxed[1]),
    ]
    found = ranked(units, [-1.0, -2.0, -3.0, -4.0], results, beta=0.02)
    assert [candidate.relaxation.formula for candidate in found] == ["D", "B", "A", "C"]
    assert [candidate.predicted for candidate in found] == [units[3], units[1], units[0], units[2]]
    assert [candidate.unit for candidate in found] == [relaxed[1], relaxed[0], units[0], units[2]]
    assert [candidate.log_probability for candidate in found] == [-4.0, -2.0, -1.0, -3.0]
    assert [candidate.score for candidate in found] == [pytest.approx(-2.42), pytest.approx(-1.96), None, None]
