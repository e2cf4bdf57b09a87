"""Joint assignment of a crystal's orbits to Wyckoff positions: a position without freedom holds one orbit at most."""

from __future__ import annotations

import numpy as np


def assign(cost: np.ndarray, single: np.ndarray) -> np.ndarray:
    """Cheapest assignment of orbits to positions.

    Args:
        cost: (M, P) cost of putting orbit m on position p, finite.
        single: (P,) True where a position holds one orbit at most.  At least one position must not be single.

    Returns:
        (M,) position of each orbit, of least total cost (scipy's linear sum assignment: exact).
    """
    from scipy.optimize import linear_sum_assignment

    orbits = len(cost)
    shared = np.flatnonzero(~single)
    # positions with freedom hold any number, so each orbit brings a private copy of its cheapest one
    cheapest = shared[cost[:, shared].argmin(axis=1)]
    private = np.full((orbits, orbits), np.inf)
    private[np.arange(orbits), np.arange(orbits)] = cost[np.arange(orbits), cheapest]
    alone = np.flatnonzero(single)
    _, column = linear_sum_assignment(np.concatenate([cost[:, alone], private], axis=1))
    taken = column < len(alone)
    chosen = cheapest.copy()
    chosen[taken] = alone[column[taken]]
    return chosen
