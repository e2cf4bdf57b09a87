"""The lowest mixture of phases against scipy's linear programming (HiGHS), where phases are many or alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from symmcd.stability.lowest_mixture import lowest_mixture


def system(seed: int, elements: int, phases: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Phases of small whole numbers of atoms, so that many lie on one line or on one point, and a target likewise."""
    rng = np.random.default_rng(seed)
    amounts = rng.integers(0, 4, (elements, phases)).astype(float)
    amounts[rng.integers(0, elements, phases), np.arange(phases)] += 1
    energies = rng.choice([-1.0, -0.5, 0.0, rng.uniform(-3, 0)], phases) * rng.choice([1.0, rng.random()], phases)
    target = rng.integers(1, 5, elements).astype(float)
    fractions = np.concatenate([np.eye(elements), amounts / amounts.sum(axis=0)], axis=1)
    return fractions, np.concatenate([np.zeros(elements), energies]), target / target.sum()


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 7), st.integers(0, 120))
def test_agrees_with_a_general_solver(seed, elements, phases):
    fractions, energies, target = system(seed, elements, phases)
    shares, energy = lowest_mixture(fractions, energies, target)
    expected = linprog(energies, A_eq=fractions, b_eq=target, bounds=(0, None), method="highs")
    assert energy == pytest.approx(expected.fun, abs=1e-7)
    assert energies @ shares == pytest.approx(energy, abs=1e-9)
    assert (shares >= 0).all()
    np.testing.assert_allclose(fractions @ shares, target, atol=1e-9)
    assert np.count_nonzero(shares) <= elements  # a vertex: as many phases as elements at most


def test_equal_phases_do_not_go_round_in_circles(monkeypatch):
    """All steps by Bland's rule come to the same minimum."""
    found = []
    for greedy in (0, 100):
        monkeypatch.setattr("symmcd.stability.lowest_mixture.GREEDY", greedy)
        found.append([lowest_mixture(*system(seed, 5, 60))[1] for seed in range(40)])
    np.testing.assert_allclose(found[0], found[1], atol=1e-9)
    monkeypatch.setattr("symmcd.stability.lowest_mixture.MOST", 1)
    with pytest.raises(ArithmeticError, match="not converged after 1"):
        lowest_mixture(np.array([[1.0, 0, 0.5], [0, 1.0, 0.5]]), np.array([0, 0, -1.0]), np.array([0.5, 0.5]))
