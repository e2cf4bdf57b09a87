"""Quality of predicted energies: rank correlation, error, and how stable those are that would be chosen."""

from __future__ import annotations

import numpy as np

QUARTER = 0.25  # the best predicted ones, whose energies are looked at


def measures(predicted: np.ndarray, energies: np.ndarray, target: np.ndarray) -> dict[str, float | int]:
    """Measures of predictions for B crystals that were held out.

    Args:
        predicted: (B,) eV/atom.
        energies: (B,) relaxed energies above the hull, eV/atom; nan if there is none, which is not stable.
        target: (B,) what was fitted, `model.targets` of the energies.

    Returns:
        ``spearman`` with the energies, those without one highest; ``mae`` from the target, eV/atom; the share of
        crystals at or below 0 and 0.1 eV/atom, of all (``stable_0``, ``stable_0.1``) and of the quarter that is
        predicted lowest (``quarter_stable_0``, ``quarter_stable_0.1``); ``labels``, ``without_energy``.
    """
    filled = np.where(np.isnan(energies), np.inf, energies)
    best = np.argsort(predicted, kind="stable")[: max(1, round(QUARTER * len(predicted)))]
    found: dict[str, float | int] = {
        "labels": len(energies),
        "without_energy": int(np.isnan(energies).sum()),
        "spearman": spearman(predicted, filled),
        "mae": float(np.abs(predicted - target).mean()),
    }
    for threshold in (0.0, 0.1):
        found[f"stable_{threshold:g}"] = float((filled <= threshold).mean())
        found[f"quarter_stable_{threshold:g}"] = float((filled[best] <= threshold).mean())
    return found


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Correlation of the ranks, equal values sharing the mean of theirs; nan where all of one are equal."""
    ranks = np.stack([_ranks(first), _ranks(second)])
    ranks = ranks - ranks.mean(axis=1, keepdims=True)
    norm = np.sqrt((ranks**2).sum(axis=1).prod())
    return float(ranks.prod(axis=0).sum() / norm) if norm > 0 else float("nan")


def spearman_interval(first: np.ndarray, second: np.ndarray, samples: int = 400, seed: int = 0) -> tuple[float, float]:
    """95 % interval of `spearman`, by drawing crystals with replacement."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(len(first), size=(samples, len(first)))
    found = [spearman(first[row], second[row]) for row in rows]
    low, high = np.nanquantile(found, [0.025, 0.975])
    return float(low), float(high)


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return ((ends - counts + ends - 1) / 2)[inverse]
