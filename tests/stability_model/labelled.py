"""Drafts and labels for tests, without a network: energies are a function of the features and noise."""

from __future__ import annotations

import dataclasses

import numpy as np

from symmcd.crystallography import content
from symmcd.crystallography.drafts import Drafts
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.stability.hull import ConvexHull, HullEntry
from symmcd.stability_model.features import FEATURES, features
from symmcd.stability_model.fitting import Labels
from symmcd.stability_model.model import StabilityModel
from symmcd.stability_model.trees import Trees

ELEMENTS = np.array([8, 9, 16, 7, 3, 11, 20, 13, 22, 26, 57, 29])
HULL = ConvexHull(
    [
        HullEntry(symbol, 0.0, "elemental_reference", "test")
        for symbol in ["O", "F", "S", "N", "Li", "Na", "Ca", "Al", "Ti", "Fe", "La", "Cu"]
    ]
    + [HullEntry(f"Li{n}O", -1.0 - 0.01 * n, "formation_energy", "test") for n in range(1, 15)]
)


def some_drafts(number: int, seed: int, elements: np.ndarray = ELEMENTS) -> Drafts:
    """Drafts of random groups and elements, numbered from 0."""
    rng, table = np.random.default_rng(seed), wyckoff_table()
    group = rng.choice([2, 12, 62, 139, 194, 225], number)
    general = rng.integers(1, 4, number)  # orbits on the general position, beside one on the first
    start = np.concatenate([[0], np.cumsum(general + 1)])
    wyckoff = np.repeat(table.start[group] - 1, general + 1)
    wyckoff[start[:-1]] = table.start[group - 1]
    return Drafts(
        space_group=group,
        start=start,
        element=rng.choice(elements, len(wyckoff)),
        wyckoff=wyckoff,
        number=np.arange(number),
        log_probability=-20 * rng.random(number),
    )


def some_labels(number: int, seed: int, noise: float = 0.02) -> Labels:
    """Labels that electronegativity and log-probability explain, but for `noise` (eV/atom)."""
    drafts = some_drafts(number, seed)
    values = features(drafts, drafts.log_probability, HULL)
    rng = np.random.default_rng(seed)
    energy = 0.3 - 0.2 * values[:, FEATURES.index("electronegativity_deviation")] - 0.005 * drafts.log_probability
    return Labels(values, energy + noise * rng.standard_normal(number), content.formulas(drafts))


def constant_model(energy: float = 0.1) -> StabilityModel:
    """One leaf."""
    nothing = {"feature": [], "threshold": [], "missing_left": [], "left": [], "right": []}
    arrays = {"member": [0], "root": [-1], "value": [energy], **nothing}
    return StabilityModel(Trees(**{name: _array(name, values) for name, values in arrays.items()}), 0.1, {})


def split_model(feature: str, threshold: float, below: float, above: float) -> StabilityModel:
    """One split: `below` (eV/atom) up to the threshold, `above` beyond it."""
    arrays = {
        "member": [0], "root": [0], "feature": [FEATURES.index(feature)], "threshold": [threshold],
        "missing_left": [1], "left": [-1], "right": [-2], "value": [below, above],
    }  # fmt: skip
    return StabilityModel(Trees(**{name: _array(name, values) for name, values in arrays.items()}), 0.1, {})


def renumbered(drafts: Drafts, number: np.ndarray) -> Drafts:
    return dataclasses.replace(drafts, number=number)


def _array(name: str, values: list) -> np.ndarray:
    from symmcd.stability_model.trees import DTYPES

    return np.array(values, DTYPES[name])
