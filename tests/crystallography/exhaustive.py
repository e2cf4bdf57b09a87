"""Distances to Wyckoff positions by trying everything, and random cells to do it in."""

from __future__ import annotations

import itertools

import numpy as np

from symmcd.crystallography.lattice import constrain
from symmcd.crystallography.space_group import operations
from symmcd.crystallography.wyckoff import wyckoff_table

TABLE = wyckoff_table()


def random_k(rng: np.random.Generator, number: np.ndarray, spread: float = 0.15) -> np.ndarray:
    return constrain(rng.normal(0, spread, (len(number), 6)) + [0, 0, 0, 0, 0, 1.6], number)


def exhaustive(point: np.ndarray, row: int, metric: np.ndarray, reach: int = 3) -> float:
    """Least squared distance (Å²) to any member of a position, over all group operations and lattice translates.

    Independent of the projectors: least squares over the free parameters of each member.
    """
    root = np.linalg.cholesky(metric).T
    template, best = TABLE.generator[row], np.inf
    shifts = np.array(list(itertools.product(range(-reach, reach + 1), repeat=3)))
    for g in operations(int(TABLE.space_group[row])):
        directions = root @ g[:, :3] @ template[:, :3]
        base = g[:, :3] @ template[:, 3] + g[:, 3]
        wanted = root @ (point + shifts - base).T
        solution = np.linalg.lstsq(directions, wanted, rcond=None)[0]
        best = min(best, ((directions @ solution - wanted) ** 2).sum(axis=0).min())
    return float(best)
