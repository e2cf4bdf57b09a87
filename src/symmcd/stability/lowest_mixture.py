"""The mixture of phases with the lowest energy at a composition: a linear programme of few rows, by the simplex method.

A general solver takes a millisecond to set up a problem of three elements and fifty phases; this one takes a tenth.
"""

from __future__ import annotations

import numpy as np

OPTIMAL = 1e-11  # eV/atom below the mixture found, which no phase may be worth
PIVOT = 1e-9  # shares of atoms that count as none
GREEDY, MOST = 100, 10_000  # steps by the steepest descent, which may go round in circles, and steps in all


def lowest_mixture(fractions: np.ndarray, energies: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, float]:
    """Shares of atoms w ≥ 0 that minimise Σ wⱼ Eⱼ while Σ wⱼ xⱼ is the target composition.

    Args:
        fractions: (elements, phases) composition x of each phase; the first phases are the elements, in order.
        energies: (phases,) E.
        target: (elements,) composition, each above 0.

    Returns:
        w (phases,), and the minimum in the unit of `energies`.
    """
    basis = np.arange(len(target))  # the separate elements, to begin with
    for step in range(MOST):
        inverse = np.linalg.inv(fractions[:, basis])
        gain = energies - energies[basis] @ inverse @ fractions  # energy of a phase above its decomposition
        below = np.flatnonzero(gain < -OPTIMAL)
        share = inverse @ target
        if not len(below):
            shares = np.zeros(len(energies))
            shares[basis] = share.clip(min=0.0)
            return shares, float(energies[basis] @ share)
        entering = gain.argmin() if step < GREEDY else below[0]  # the first one: Bland's rule, which ends
        used = inverse @ fractions[:, entering]
        possible = used > PIVOT
        ratio = np.where(possible, share.clip(min=0.0) / np.where(possible, used, 1.0), np.inf)
        tied = np.flatnonzero(ratio <= ratio.min() + 1e-13)
        leaving = tied[used[tied].argmax()] if step < GREEDY else tied[basis[tied].argmin()]
        basis[leaving] = entering
    raise ArithmeticError(f"hull at {target}: not converged after {MOST} steps")
