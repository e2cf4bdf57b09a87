"""Relaxed energies above the hull of a run, beside the crystals that they are of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from symmcd.crystallography import content
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.errors import InputError
from symmcd.stability.hull import ConvexHull
from symmcd.stability_model.features import features
from symmcd.stability_model.fitting import Labels
from symmcd.storage import read_units
from symmcd.tables import check_numbers, read_rows

NEEDED = ("id", "judge", "hull", "status", "formula", "e_above_hull_relaxed")
UNJUDGED = ("no_reference", "no_correction", "too_large")  # what says nothing of how stable a crystal is


@dataclass(frozen=True, eq=False)
class RelaxedEnergies:
    """Energies of B crystals of a run, by one judge over one hull."""

    row: np.ndarray  # (B,) of each among the asymmetric units of the run
    energy: np.ndarray  # (B,) eV/atom above the hull, relaxed; nan where the relaxation failed
    judge: str
    hull: str
    left_out: int  # crystals that were not judged: `UNJUDGED`


@dataclass(frozen=True, eq=False)
class LabelledRun:
    """Crystals of a run that were judged."""

    units: AsymmetricUnits  # B of them
    energies: RelaxedEnergies  # (B,)

    def shares(self) -> dict[str, float | int]:
        """Number of labels, and the share at or below 0 and 0.1 eV/atom; nan is not stable."""
        energy = self.energies.energy
        return {"labels": len(energy), **{f"stable_{limit:g}": float((energy <= limit).mean()) for limit in (0.0, 0.1)}}


def read_runs(crystals: Sequence[Path], hulls: Sequence[Path]) -> list[LabelledRun]:
    """The judged crystals of some runs.

    Args:
        crystals: units.npz of each.
        hulls: hull.csv of each, in the same order.

    Raises:
        InputError: not as many of both, a file that cannot be used, or different judges or hulls.
    """
    if len(crystals) != len(hulls):
        raise InputError(f"{len(crystals)} files of crystals and {len(hulls)} of --hull: give one hull.csv for each")
    runs: list[LabelledRun] = []
    for path, hull in zip(crystals, hulls, strict=True):
        units = read_units(path)
        energies = read_energies(hull, units, path)
        runs.append(LabelledRun(units.take(energies.row), energies))
        if not np.isfinite(energies.energy).any():
            raise InputError(f"{hull}: no crystal of {path} has an energy above the hull")
        first = runs[0].energies
        if (energies.judge, energies.hull) != (first.judge, first.hull):
            raise InputError(
                f"{hull}: energies by {energies.judge} over {energies.hull}, but in {hulls[0]} by "
                f"{first.judge} over {first.hull}; a model needs labels of one kind"
            )
    return runs


def labels_of(
    runs: Sequence[LabelledRun], log_probability: Callable[[AsymmetricUnits], np.ndarray], hull: ConvexHull
) -> Labels:
    """Collect the training data of a stability model, from all `runs` in their order.

    Args:
        runs: of `read_runs`.
        log_probability: of the crystals, as `Generator.log_probability`.
        hull: of the features.
    """
    values = [features(run.units, log_probability(run.units), hull) for run in runs]
    formula = [name for run in runs for name in content.formulas(run.units)]
    return Labels(np.concatenate(values), np.concatenate([run.energies.energy for run in runs]), formula)


def read_energies(path: Path, units: AsymmetricUnits, source: Path | str = "the crystals") -> RelaxedEnergies:
    """Energies by the first judge and hull of a table of `symmcd hull`.

    Args:
        path: hull.csv.
        units: of the run, with its ids as labels.
        source: what `units` were read from, for messages.

    Raises:
        InputError: an unreadable table, one without rows, with a crystal twice, or of another run than `units`.
    """
    table = read_rows(path, NEEDED, "hull")
    check_numbers(path, table, ("e_above_hull_relaxed",), "hull")
    if not table:
        raise InputError(f"{path}: no crystals; run `symmcd hull` again")
    judge, hull = table[0]["judge"], table[0]["hull"]
    table = [row for row in table if (row["judge"], row["hull"]) == (judge, hull)]
    place = {label: index for index, label in enumerate(units.label.tolist())}
    formula = content.formulas(units)
    seen: set[str] = set()
    for row in table:
        name = row["id"]
        if name in seen:
            raise InputError(f"{path}: crystal {name} appears twice by {judge} over {hull}; run `symmcd hull` again")
        seen.add(name)
        if name not in place:
            raise InputError(f"{path}: crystal {name} is not in {source}; the files come from different runs")
        if formula[place[name]] != row["formula"]:
            raise InputError(
                f"{path}: crystal {name} is {row['formula']}, in {source} {formula[place[name]]}; "
                "the files come from different runs"
            )
    judged = [row for row in table if not row["status"].startswith(UNJUDGED)]
    energy = [float(row["e_above_hull_relaxed"] or math.nan) for row in judged]
    rows = [place[row["id"]] for row in judged]
    return RelaxedEnergies(np.array(rows, int), np.array(energy, float), judge, hull, len(table) - len(judged))
