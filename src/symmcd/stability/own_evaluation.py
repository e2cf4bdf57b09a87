"""Evaluation of anybody's crystals from entries to Tables 1 and 2, and if they are relaxed to Table 3."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from symmcd.crystallography.best_of import BestOf
from symmcd.metrics.evaluation import Evaluation, Options
from symmcd.metrics.own_crystals import EvaluationLimits, Predict, evaluate_entries, unusable
from symmcd.metrics.reference_set import KnownCrystals
from symmcd.stability.set_stability import StabilityOptions, stability_of
from symmcd.structures.given_crystals import OwnCrystal, OwnCrystals


@dataclass(frozen=True, eq=False)
class OwnEvaluation:
    """Crystals, what they are compared with, and how."""

    entries: Sequence[OwnCrystal]
    reference: KnownCrystals | None
    train: KnownCrystals | None
    limits: EvaluationLimits
    options: Options
    cache: Path | None  # file of fingerprints; energies of known crystals are kept beside it
    predict: Predict | None
    stability: StabilityOptions | None  # None: nothing is relaxed; else there is a training set
    best_of: BestOf | None = None  # how the crystals were chosen, where they were

    def scored(self) -> Evaluation:
        """Tables 1 and 2.

        Raises:
            InputError: no entries.
        """
        reference, train = (None if known is None else known.crystals for known in (self.reference, self.train))
        return evaluate_entries(
            self.entries, reference, train, self.limits, self.options, self.cache, self.predict, self.best_of
        )

    def relaxed(self, scored: Evaluation, folder: Path) -> Evaluation:
        """Return `scored`, with Table 3 as well if crystals are to be relaxed.

        Args:
            scored: of this set.
            folder: keeps the state from which a killed run continues.

        Raises:
            InputError: as `stability_of`.
        """
        if self.stability is None:
            return scored
        given = OwnCrystals(self.entries, unusable(scored.table, self.entries), self.best_of)
        valid = scored.table["valid"] == True  # noqa: E712  (some are missing)
        known = [of for of in (self.train, self.reference) if of is not None]
        cache = None if self.cache is None else Path(self.cache).with_name("energies.sqlite")
        flags = dict(zip(given.ids, valid.tolist(), strict=True))
        return dataclasses.replace(scored, stability=stability_of(given, flags, known, self.stability, folder, cache))
