"""A model of the relaxed energy above the hull, from what is known of a crystal before it has a geometry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from symmcd.crystallography.best_of import LONGEST, BestOf
from symmcd.crystallography.drafts import Drafts
from symmcd.errors import InputError
from symmcd.stability.hull import ConvexHull
from symmcd.stability_model.features import FEATURES, features
from symmcd.stability_model.trees import Trees
from symmcd.storage import read_tensors, write_tensors

SHIPPED = "mp20"  # fitted to drafts of the shipped weights of that name
FORMAT = "symmcd stability model 1"
FEATURES_VERSION = 1  # goes up where a feature keeps its name and changes its meaning
LOWEST, HIGHEST = -0.2, 0.3
"""eV/atom; energies above the hull are clipped to them, see `targets`."""


def model_path(name: str | Path) -> Path:
    """File of the stability model called `name`: shipped with the package, or itself a path.

    Raises:
        InputError: no such file.
    """
    shipped = str(name) == SHIPPED
    path = Path(str(resources.files("symmcd"))) / f"weights/{SHIPPED}-stability.safetensors" if shipped else Path(name)
    if not path.is_file():
        raise InputError(f"{name}: no such file; use {SHIPPED} (shipped), or fit a model with `symmcd surrogate`")
    return path


def targets(energies: np.ndarray) -> np.ndarray:
    """(B,) values to fit, eV/atom, from relaxed energies above the hull (B,).

    Clipped to -0.2 … 0.3 eV/atom, so that a few crystals that fly apart, or fall into a hole of the potential, do not
    outweigh the others.  A crystal without an energy (nan: its relaxation failed) counts as 0.3: nobody wants one
    like it.
    """
    return np.where(np.isnan(energies), HIGHEST, np.clip(energies, LOWEST, HIGHEST))


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predicted energies of B crystals."""

    energy: np.ndarray  # (B,) eV/atom above the hull, relaxed, between about -0.2 and 0.3
    uncertainty: np.ndarray  # (B,) eV/atom, one standard deviation


@dataclass(frozen=True, eq=False)
class StabilityModel:
    """An ensemble of boosted trees, each fitted to another sample of the labels; it is asked with numpy alone."""

    trees: Trees
    noise: float  # eV/atom, what held-out labels are off beyond the disagreement of the members
    card: Mapping[str, Any]  # labels, hull, potential, commit, held-out figures
    sha256: str = ""  # hash of the file that it was read from, in hexadecimal

    def predict(self, values: np.ndarray) -> Prediction:
        """Predict from `features` (B, F): the mean of the members, and their spread and the noise together.

        Raises:
            ValueError: another number of features.
        """
        if values.ndim != 2 or values.shape[1] != len(FEATURES):
            raise ValueError(f"{values.shape=}, expected (B, {len(FEATURES)})")
        said = self.trees.evaluate(values)
        return Prediction(said.mean(axis=0), np.sqrt(spread(said) ** 2 + self.noise**2))

    def of(self, drafts: Drafts, hull: ConvexHull) -> Prediction:
        """Predict energies of drafts above a hull."""
        return self.predict(features(drafts, drafts.log_probability, hull))

    def best_of(self, drafts: int) -> BestOf:
        """Record of a choice by this model: each crystal is the best of `drafts`, 2 at least."""
        return BestOf(drafts, self.sha256, *(_name(self.card.get(key)) for key in ("judge", "hull")))

    def write(self, path: Path) -> None:
        """Write it as safetensors, its card as JSON in the metadata."""
        card = {**self.card, "noise": self.noise, "features": list(FEATURES), "features_version": FEATURES_VERSION}
        write_tensors(path, self.trees.arrays(), {"format": FORMAT, "symmcd": json.dumps(card)})

    @classmethod
    def read(cls, path: Path | str) -> StabilityModel:
        """Read what `write` wrote; nothing is unpickled.

        Raises:
            InputError: missing, damaged, no such file, or one whose features this version does not have.
        """
        arrays, text = read_tensors(Path(path))
        if text.get("format") != FORMAT:
            raise InputError(f"{path}: not a stability model (format {text.get('format')!r}, expected {FORMAT!r})")
        card = _card_of(path, text.get("symmcd", ""))
        if card.get("features") != list(FEATURES) or card.get("features_version") != FEATURES_VERSION:
            new = sorted(_texts(card.get("features")) ^ set(FEATURES))
            which = f"; not in both: {', '.join(new)[:200]}" if new else ""
            raise InputError(
                f"{path}: fitted by another version of symmcd (commit {card.get('commit')}) to other features"
                f"{which}. Fit it again with `symmcd surrogate`"
            )
        noise = card.get("noise")
        if not isinstance(noise, float) or not 0 <= noise < 10:
            raise InputError(f"{path}: damaged, its noise is {str(noise)[:40]!r}; fetch or fit it again")
        try:
            trees = Trees.of_arrays(arrays, len(FEATURES))
        except InputError as error:
            raise InputError(f"{path}: damaged, {error}; fetch or fit it again") from None
        return cls(trees, noise, card, hashlib.sha256(Path(path).read_bytes()).hexdigest())


def spread(said: np.ndarray) -> np.ndarray:
    """(B,) standard deviation of the predictions (M, B) of M members; 0 for one member."""
    return said.std(axis=0, ddof=1) if len(said) > 1 else np.zeros(said.shape[1])


def _card_of(path: Path | str, text: str) -> dict[str, Any]:
    try:
        card = json.loads(text)
    except (ValueError, RecursionError):
        card = None
    if not isinstance(card, dict):
        raise InputError(f"{path}: damaged, its card is not a JSON mapping; fetch or fit it again")
    return card


def _name(value: Any) -> str:
    """A name on a card, which may hold anything, as a line of text; empty if it is not text."""
    line = " ".join(value.split())[:LONGEST] if isinstance(value, str) else ""
    return line if line.isprintable() else ""


def _texts(values: Any) -> set[str]:
    return {value for value in values if isinstance(value, str)} if isinstance(values, list) else set()
