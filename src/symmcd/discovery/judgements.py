"""Judgements of a crystal: energies above the judges' hulls, their differences, and doubts."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
from symmcd.crystallography.composition import SYMBOLS
from symmcd.discovery.known import elemental_references
from symmcd.stability.doubts import doubts
from symmcd.stability.hull import ConvexHull, MissingReferenceError

SWOLLEN, VOLUME = "volume_changed", 0.5  # a doubt beside those of `stability.doubts`: share of the volume in relaxation


@dataclass(frozen=True, eq=False)
class Hulls:
    """The hull of each judge, by its name, and its name for people."""

    hull: Mapping[str, ConvexHull]
    name: Mapping[str, str]
    own: Mapping[str, ConvexHull] = field(default_factory=dict)  # hull of the judge's own energies of known crystals


@functools.cache
def _energy_of_element() -> Mapping[str, float]:
    """eV/atom by symbol, read once for all crystals."""
    return {entry.formula: entry.energy_per_atom for entry in elemental_references()}


def elements_energy(unit: AsymmetricUnit) -> float:
    """Energy of the elements that formation energies count from, eV/atom; nan where one of them has none."""
    reference, atoms = _energy_of_element(), unit.composition
    total = sum(reference.get(SYMBOLS[number - 1], math.nan) * count for number, count in atoms.items())
    return total / sum(atoms.values())


def judged(crystal: Mapping[str, Any], row: Mapping[str, Any], hulls: Hulls) -> dict[str, Any]:
    """Energies of the judges above their hulls, and doubts."""
    said: dict[str, Any] = {}
    values: list[float] = []
    for judge, hull in hulls.hull.items():
        status, energy = crystal["judges"].get(judge, [row["status"], None])
        try:
            point = hull.at(row["formula"])
        except MissingReferenceError as missing:
            status, energy = f"no_reference:{missing}", None
        if energy is None:
            said.setdefault("status", status if row["status"] == "converged" else row["status"])
            continue
        values.append(energy - point.energy_per_atom)
        said[f"e_above_hull_{judge}"] = values[-1]
        if judge in hulls.own:
            said[f"e_above_own_hull_{judge}"] = _above(energy, row["formula"], hulls.own[judge])
        if len(values) == 1:
            said |= {"decomposition": point.decomposition, "hull": hulls.name[judge]}
            said["reference_entries"] = hull.entries_in(row["formula"])
    if not values:
        return said
    lacking = len(values) < len(hulls.hull)
    spread = math.inf if lacking else max(values) - min(values)
    said |= {"e_above_hull": max(values), "judges_spread": None if lacking else spread}
    words = doubts(
        row["formula"], max(values), said["decomposition"],
        math.nan if row["rms_displacement"] is None else row["rms_displacement"],
        said["reference_entries"], judges_spread=spread if len(hulls.hull) > 1 else math.nan,
    )  # fmt: skip
    swollen = abs(row["volume_change"] or 0.0) > VOLUME
    said["doubts"] = ";".join([*words, *[SWOLLEN] * swollen])
    return said


def _above(energy: float, formula: str, hull: ConvexHull) -> float | None:
    """Energy above a hull, eV/atom; None if it lacks an element."""
    try:
        return energy - hull.at(formula).energy_per_atom
    except MissingReferenceError:
        return None
