"""Relaxed energies above the hull of a run, beside the crystals that they are of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from symmcd.crystallography import content
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.errors import InputError
from symmcd.tables import check_numbers, read_rows

NEEDED = ("id", "judge", "hull", "status", "formula", "e_above_hull_relaxed")
UNJUDGED = ("no_reference", "no_correction", "too_large")  # what says nothing of how stable a crystal is


@dataclass(frozen=True, eq=False)
class RelaxedEnergies:
    """Of B crystals of a run, by one judge over one hull."""

    row: np.ndarray  # (B,) of each among the asymmetric units of the run
    energy: np.ndarray  # (B,) eV/atom above the hull, relaxed; nan where the relaxation failed
    judge: str
    hull: str
    left_out: int  # crystals that were not judged: `UNJUDGED`


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
            raise InputError(f"{path}: crystal {name} is there twice by {judge} over {hull}; run `symmcd hull` again")
        seen.add(name)
        if name not in place:
            raise InputError(f"{path}: crystal {name} is not in {source}; the files are of different runs")
        if formula[place[name]] != row["formula"]:
            raise InputError(
                f"{path}: crystal {name} is {row['formula']}, in {source} {formula[place[name]]}; the files are of "
                "different runs"
            )
    judged = [row for row in table if not row["status"].startswith(UNJUDGED)]
    energy = [float(row["e_above_hull_relaxed"] or math.nan) for row in judged]
    rows = [place[row["id"]] for row in judged]
    return RelaxedEnergies(np.array(rows, int), np.array(energy, float), judge, hull, len(table) - len(judged))
