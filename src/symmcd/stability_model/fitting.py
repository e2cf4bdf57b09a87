"""Fit a stability model to relaxed crystals, and measure it on compositions that it has not seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symmcd.errors import InputError
from symmcd.stability_model.features import FEATURES
from symmcd.stability_model.measures import measures, spearman_interval
from symmcd.stability_model.model import StabilityModel, spread, targets
from symmcd.stability_model.trees import Trees

MEMBERS = 5
FOLDS = 5
FEWEST = 50  # labels; with fewer there is nothing to hold out
ROUNDS = 400
BOOSTING: Mapping[str, Any] = {
    "objective": "regression",
    "learning_rate": 0.04,
    "num_leaves": 15,
    "min_data_in_leaf": 10,
    "feature_fraction": 0.4,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 1.0,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


@dataclass(frozen=True, eq=False)
class Labels:
    """B relaxed crystals."""

    features: np.ndarray  # (B, F) `features.features`
    energy: np.ndarray  # (B,) relaxed energy above the hull, eV/atom; nan if there is none
    composition: Sequence[str]  # (B,) reduced formula: crystals of one are held out together

    def __len__(self) -> int:
        return len(self.energy)

    def take(self, rows: np.ndarray) -> Labels:
        return Labels(self.features[rows], self.energy[rows], [self.composition[row] for row in rows])


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Predictions of models that had not seen a crystal's composition."""

    energy: np.ndarray  # (B,) eV/atom
    spread: np.ndarray  # (B,) eV/atom, of their members


def fit(
    labels: Labels, seed: int = 0, about: Mapping[str, Any] | None = None, first: int | None = None
) -> StabilityModel:
    """A model fitted to all labels; its card has the figures of held-out compositions.

    Args:
        labels: at least `FEWEST`.
        seed: of the samples that the members are fitted to, and of the folds.
        about: JSON values for the card, as where the labels come from.
        first: measure on the first so many only; None: on all.

    Raises:
        InputError: too few labels or compositions, or LightGBM is not installed.
    """
    check_enough(labels)
    out = held_out(labels, seed)
    target = targets(labels.energy)
    noise = float(np.sqrt(max(0.0, np.mean((out.energy - target) ** 2) - np.mean(out.spread**2))))
    found: dict[str, Any] = measures(out.energy[:first], labels.energy[:first], target[:first])
    high = np.where(np.isnan(labels.energy), np.inf, labels.energy)
    found["spearman_95"] = list(spearman_interval(out.energy[:first], high[:first]))
    card = {**(about or {}), "held_out": found, "compositions": len(set(labels.composition)), "seed": seed}
    card |= {"boosting": dict(BOOSTING), "rounds": ROUNDS, "members": MEMBERS, "folds": FOLDS, "by": _library()}
    return StabilityModel(ensemble(labels, seed), noise, card)


def check_enough(labels: Labels) -> None:
    """Raise InputError where there is too little to fit and hold out."""
    compositions = len(set(labels.composition))
    if len(labels) < FEWEST or compositions < 2 * FOLDS or not np.isfinite(labels.energy).any():
        raise InputError(
            f"{len(labels)} crystals of {compositions} compositions, {int(np.isfinite(labels.energy).sum())} with an "
            f"energy: at least {FEWEST} of {2 * FOLDS} compositions are needed; relax more"
        )


def held_out(labels: Labels, seed: int = 0, most: int | None = None) -> HeldOut:
    """Predictions for each crystal by a model of other compositions (`FOLDS` parts of the compositions).

    Args:
        labels: of which each fold holds out some.
        seed: of the folds.
        most: labels that each model is fitted to, at random among those that it may see; None: all.
    """
    rng = np.random.default_rng([seed, 1])
    _, group = np.unique(labels.composition, return_inverse=True)
    fold = rng.permutation(group.max() + 1)[group] % FOLDS
    energy, spreads = np.zeros(len(labels)), np.zeros(len(labels))
    for part in range(FOLDS):
        seen, unseen = np.flatnonzero(fold != part), np.flatnonzero(fold == part)
        if most is not None:
            seen = rng.permutation(seen)[:most]
        said = ensemble(labels.take(seen), seed + 1000 * (part + 1)).evaluate(labels.features[unseen])
        energy[unseen], spreads[unseen] = said.mean(axis=0), spread(said)
    return HeldOut(energy, spreads)


def learning_curve(
    labels: Labels, sizes: Iterable[int], seed: int = 0, first: int | None = None
) -> list[dict[str, float | int]]:
    """Measures on held-out compositions of models fitted to fewer labels, a row each; larger sizes are left out.

    Args:
        labels, seed, first: as in `fit`.
        sizes: labels that are fitted to, drawn at random.
    """
    most, target = len(labels) * (FOLDS - 1) // FOLDS, targets(labels.energy)
    rows = []
    for size in sizes:
        if size <= most:
            out = held_out(labels, seed, size)
            found = measures(out.energy[:first], labels.energy[:first], target[:first])
            rows.append({**found, "fitted_to": size})
    return rows


def ensemble(labels: Labels, seed: int = 0) -> Trees:
    """`MEMBERS` boosters, each fitted to compositions drawn with replacement.

    Raises:
        InputError: LightGBM is not installed.
    """
    lightgbm, rng = _lightgbm(), np.random.default_rng([seed, 0])
    _, group = np.unique(labels.composition, return_inverse=True)
    number, target = int(group.max()) + 1, targets(labels.energy)
    dumped = []
    for member in range(MEMBERS):
        weight = np.bincount(rng.integers(number, size=number), minlength=number)[group]
        rows = np.flatnonzero(weight)
        data = lightgbm.Dataset(labels.features[rows], target[rows], weight=weight[rows], feature_name=list(FEATURES))
        booster = lightgbm.train({**BOOSTING, "seed": seed * MEMBERS + member}, data, num_boost_round=ROUNDS)
        dumped.append(booster.dump_model())
    return Trees.of_lightgbm(dumped)


def check_library() -> None:
    """Raise InputError where LightGBM is not installed."""
    _lightgbm()


def _library() -> str:
    return f"lightgbm {_lightgbm().__version__}"


def _lightgbm() -> Any:
    try:
        import lightgbm
    except ImportError as error:
        raise InputError(
            f"fitting a stability model needs LightGBM ({error}): pip install 'symmcd[surrogate]'. Predicting does not"
        ) from None
    return lightgbm
