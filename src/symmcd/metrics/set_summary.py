"""Metrics of a whole set of crystals, with sample size and 95 % interval (paper, Tables 1 and 2).

Protocol ``paper``: as the program behind the paper's figures.  Protocol ``strict``: self-images counted, every crystal
in every row, one tolerance for both sides of a comparison, groups 229 and 230 apart, one crystal near in both
fingerprints.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from symmcd.crystallography.best_of import BestOf
from symmcd.errors import SymmcdError
from symmcd.extensions import METRICS, Metric
from symmcd.metrics.coverage import Coverage
from symmcd.metrics.intervals import FLOOR
from symmcd.metrics.originality import Originality
from symmcd.metrics.oversampling import cells
from symmcd.metrics.reference_set import ReferenceSet
from symmcd.metrics.rows import Row


@dataclass(frozen=True, eq=False)
class Predicted:
    """Formation energies by one network, eV/atom, and its error on the test set."""

    note: str  # what the error is of, or why there are no energies
    energies: tuple[np.ndarray, np.ndarray] | None = None  # (B,), (R,) of set and reference; nan where it has none
    error: float | None = None  # mean absolute error, eV/atom
    low: float | None = None
    high: float | None = None
    n: int = 0  # crystals of the test set


@dataclass(frozen=True, eq=False)
class CrystalSet:
    """A set of crystals and everything that metrics of a set are computed from; None: not given."""

    table: pd.DataFrame  # one row per crystal: `crystal_scores.columns`, templates, outcome of fingerprints
    sample: int = 1000  # crystals of the paper's distribution metrics
    seed: int = 0  # seed of random samples and of the bootstrap
    train: ReferenceSet | None = None
    reference: ReferenceSet | None = None  # held out, for example the test set
    coverage: Coverage | None = None  # coverage of the reference
    originality: Originality | None = None  # beside the training set
    predictor: Predicted | None = None  # predicted formation energies
    best_of: BestOf | None = None  # how the crystals were chosen, where they were

    def __len__(self) -> int:
        return len(self.table)

    @functools.cached_property
    def valid(self) -> np.ndarray:
        """(B,) bool: valid in structure and composition; the authors' program asks for a fingerprint as well."""
        valid = self.table["valid"].to_numpy(bool)
        return valid & (self.table["fingerprint"] == "ok").to_numpy() if "fingerprint" in self.table else valid

    @functools.cached_property
    def given(self) -> frozenset[str]:
        """Available ones of `extensions.NEEDS`."""
        there = {
            "train": self.train is not None,
            "reference": self.reference is not None,
            "fingerprints": self.coverage is not None,
            "predictor": self.predictor is not None and self.predictor.energies is not None,
        }
        return frozenset(name for name, given in there.items() if given)


def summarise_set(crystals: CrystalSet) -> list[dict[str, Any]]:
    """Rows of summary.csv: every metric of a set in the registry, except those whose inputs were not given.

    Rows of crystals that were chosen say how (`oversampling.COLUMNS`).

    Raises:
        SymmcdError: an added metric fails, or makes a row that it does not announce.
    """
    metrics = ((name, METRICS[name]) for name in METRICS)
    return [
        {key: None if isinstance(v, float) and math.isnan(v) else v for key, v in dataclasses.asdict(row).items()}
        | cells(crystals.best_of)
        for name, metric in metrics
        if metric.of == "set" and any(number.needs <= crystals.given for number in metric.quantities.values())
        for row in _rows(name, metric, crystals)
    ]


def _rows(name: str, metric: Metric, crystals: CrystalSet) -> Iterator[Row]:
    """Rows of one metric, checked against those that it announces."""
    try:
        rows = list(metric.load()(crystals))
    except Exception as error:
        if name in METRICS.shipped:
            raise
        # a plugin may fail in any way, and this one says whose fault it is
        raise SymmcdError(f"metric {name!r} failed ({type(error).__name__}: {error}); mend or remove it") from error
    for row in rows:
        number = metric.quantities.get(row.metric)
        if number is None or row.protocol.removesuffix(FLOOR) not in number.protocols:
            raise SymmcdError(
                f"metric {name!r} made a row {row.metric!r} of the protocol {row.protocol!r}; add it to its quantities"
            )
        if number.needs <= crystals.given:
            yield row
