"""Stage ``evaluate``: anybody's crystals → validity, symmetry and distributions, one row each and a summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pymatgen.core import Structure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.errors import InputError
from symmcd.metrics.crystal_scores import COLUMNS, score
from symmcd.metrics.set_summary import Reference, summarise_set, write_summary
from symmcd.metrics.templates import templates
from symmcd.settings import ScoreSettings
from symmcd.storage import atomic_path, read_units
from symmcd.structures.convert import to_structure
from symmcd.structures.read import read_structures
from symmcd.structures.units import reduce, replicate


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One row a crystal, and metrics of the set (``metric, protocol, value, low, high, n, note``)."""

    table: pd.DataFrame
    summary: pd.DataFrame


def evaluate(
    structures: Sequence[Structure] | Mapping[str, Structure],
    reference: AsymmetricUnits | None = None,
    train: AsymmetricUnits | None = None,
    settings: ScoreSettings | None = None,
    seed: int = 0,
) -> Evaluation:
    """Score crystals in any cell, ordered or not; what cannot be scored is a row with a status and counts as invalid.

    Args:
        structures: pymatgen structures, by name if a mapping.
        reference: set that distributions are compared with, for example the test set.
        train: set that templates are compared with; `reference` where not given.
        settings: tolerances and limits.
        seed: of the random sample of the distribution metrics.

    Raises:
        InputError: no structures.
    """
    settings = settings or ScoreSettings()
    named = dict(structures) if isinstance(structures, Mapping) else {f"{i:05d}": s for i, s in enumerate(structures)}
    rows = [_row(name, structure, settings) for name, structure in named.items()]
    return _evaluation(rows, reference, train, settings, seed)


def run(path: Path, output: Path, reference: Path | None, settings: ScoreSettings) -> None:
    """Evaluate a file or folder of crystals; write per_crystal.csv and summary.csv into `output`.

    Raises:
        InputError: nothing to evaluate, or a reference that cannot be read.
    """
    units = read_units(reference) if reference is not None else None
    rows = []
    for name, crystal in read_structures(path):
        if isinstance(crystal, InputError):
            rows.append(_empty(name, crystal.reason))
        else:
            rows.append(_row(name, to_structure(crystal), settings))
    result = _evaluation(rows, units, None, settings, seed=0)
    with atomic_path(output / "per_crystal.csv") as temporary:
        result.table.to_csv(temporary, index=False, lineterminator="\n")
    write_summary(output / "summary.csv", result.summary.to_dict("records"))
    print(result.summary.drop(columns="note").to_string(index=False, float_format=lambda v: f"{v:.4g}", na_rep=""))
    print(f"wrote {output / 'per_crystal.csv'} ({len(rows)} crystals)")
    print(f"wrote {output / 'summary.csv'} ({len(result.summary)} metrics)")


def _row(name: str, structure: Structure, settings: ScoreSettings) -> dict[str, Any]:
    """Scores of one crystal; distances, density and edges are those of its conventional standard cell where one is found."""
    if not structure.is_ordered:
        return _empty(name, "disordered", structure.composition.reduced_formula)
    try:
        unit = reduce(structure, settings.symprec)
    except InputError as error:
        scores = score(structure, None, settings.symprec, settings.smact_seconds)
        return {"id": name, **scores, "status": getattr(error, "reason", "not_reduced"), "template": None}
    scores = score(replicate(unit), None, settings.symprec, settings.smact_seconds)
    return {"id": name, **scores, "template": unit.template}


def _empty(name: str, status: str, formula: str | None = None) -> dict[str, Any]:
    """The row of a crystal without scores: invalid in every respect."""
    flags = ("structurally_valid", "structurally_valid_strict", "compositionally_valid", "valid")
    row: dict[str, Any] = dict.fromkeys(COLUMNS) | dict.fromkeys(flags, False)
    return row | {"id": name, "status": status, "formula": formula, "template": None}


def _evaluation(
    rows: list[dict[str, Any]], reference: AsymmetricUnits | None, train: AsymmetricUnits | None, settings: ScoreSettings, seed: int
) -> Evaluation:
    if not rows:
        raise InputError("no structures to evaluate")
    table = pd.DataFrame(rows, columns=[*COLUMNS, "template"])
    known = train if train is not None else reference
    summary = summarise_set(
        table,
        templates(known) if known is not None else None,
        Reference.of(reference) if reference is not None else None,
        settings.distribution_sample,
        seed,
    )
    whole = ["atoms", "elements", "space_group", "space_group_found", "space_group_found_tight"]
    return Evaluation(table.astype(dict.fromkeys(whole, "Int64")), pd.DataFrame(summary))
