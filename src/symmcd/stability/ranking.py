"""Crystals of one composition ordered by E - β log p: relaxed energy, and how likely the model finds the arrangement.

Energy alone does worse than probability alone (docs/prediction.md).  Both together do better than either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
from symmcd.errors import InputError
from symmcd.potentials.potential import Potential
from symmcd.stability.energies import Energy, second_opinions
from symmcd.stability.outcome import Relaxation


@dataclass(frozen=True, eq=False)
class RankedCandidate:
    """A crystal that a composition may form, relaxed within its space group."""

    unit: AsymmetricUnit  # relaxed; as predicted where there is no relaxed energy
    predicted: AsymmetricUnit
    log_probability: float  # natural logarithm, of its space group, positions and elements, not of its geometry
    score: float | None  # E - β log p, eV/atom; None if there is no energy
    relaxation: Relaxation
    judged: Energy | None = None  # by another potential, which then has the E of the score


def check_beta(beta: float) -> None:
    """Refuse a β that orders nothing.

    Raises:
        InputError: it is negative or not finite.
    """
    if not (np.isfinite(beta) and beta >= 0):
        raise InputError(f"beta = {beta}: expected a number of eV/atom, at least 0")


def scores(energy: Sequence[float | None], log_probability: Sequence[float], beta: float) -> np.ndarray:
    """(B,) E - β log p, eV/atom; infinite where there is no energy.

    Args:
        energy: (B,) relaxed energies, eV/atom; None if the relaxation gave none.
        log_probability: (B,) natural logarithms.
        beta: eV/atom that balance a factor e in the probability.

    Raises:
        InputError: as `check_beta`.
    """
    check_beta(beta)
    known = np.array([np.inf if value is None else value for value in energy], dtype=float)
    return known - beta * np.asarray(log_probability, dtype=float)


def best_first(score: np.ndarray) -> np.ndarray:
    """(B,) indices by ascending `score`; where scores are equal, as without an energy, in the order given."""
    return np.argsort(score, kind="stable")


def best_of_each(relaxed: Sequence[Relaxation], owner: Sequence[int]) -> list[int]:
    """For each owner, in order, the index of its relaxation of lowest energy; its first one where none has an energy.

    Args:
        relaxed: (B,) relaxations, those of an owner beside each other.
        owner: (B,) ascending.
    """
    energy = [np.inf if result.energy_relaxed is None else result.energy_relaxed for result in relaxed]
    best: dict[int, int] = {}
    for row, name in enumerate(owner):
        if name not in best or energy[row] < energy[best[name]]:
            best[name] = row
    return list(best.values())


def judged(relaxed: Sequence[Relaxation], potential: Potential) -> list[Energy]:
    """(B,) energies of relaxed crystals by a potential that did not relax them; `Energy.status` says why one has none.

    Args:
        relaxed: (B,) relaxations that keep the space group.
        potential: the other one.

    Raises:
        Exception: as `second_opinions`.
    """
    found = [Energy(result.status) for result in relaxed]
    rows, units, shortest = [], [], []
    for row, result in enumerate(relaxed):
        if result.unit is not None and result.min_distance_relaxed is not None and result.energy_relaxed is not None:
            rows.append(row)
            units.append(result.unit)
            shortest.append(result.min_distance_relaxed)
    for row, energy in zip(rows, second_opinions(units, shortest, potential), strict=True):
        found[row] = energy
    return found


def ranked(
    units: Sequence[AsymmetricUnit],
    log_probability: Sequence[float],
    relaxed: Sequence[Relaxation],
    beta: float,
    opinions: Sequence[Energy] | None = None,
) -> list[RankedCandidate]:
    """Candidates of one composition, the best first; those without an energy last, in the order given.

    Args:
        units: (B,) as predicted.
        log_probability: (B,) natural logarithms.
        relaxed: (B,) what became of each.
        beta: see `scores`.
        opinions: (B,) energies to rank by; None: those of the relaxations.

    Raises:
        InputError: as `check_beta`.
    """
    energy = [result.energy_relaxed for result in relaxed] if opinions is None else [one.value for one in opinions]
    score = scores(energy, log_probability, beta)
    return [
        RankedCandidate(
            unit=units[row] if (unit := relaxed[row].unit) is None else unit,
            predicted=units[row],
            log_probability=float(log_probability[row]),
            score=float(score[row]) if np.isfinite(score[row]) else None,
            relaxation=relaxed[row],
            judged=None if opinions is None else opinions[row],
        )
        for row in best_first(score).tolist()
    ]
