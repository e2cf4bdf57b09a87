"""Stage ``evaluate``: anybody's crystals → validity, symmetry and distributions, one row each and a summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import spglib
from pymatgen.core import Structure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.errors import InputError
from symmcd.metrics.crystal_scores import COLUMNS, score, unscored
from symmcd.metrics.set_summary import Reference, summarise_set, write_summary
from symmcd.metrics.templates import templates
from symmcd.settings import ScoreSettings
from symmcd.stability.journal import Progress
from symmcd.storage import atomic_path, read_units
from symmcd.structures.cif import StructureError
from symmcd.structures.convert import to_structure
from symmcd.structures.read import read_structures
from symmcd.structures.units import reduce


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
    crystals = read_structures(path)
    rows = []
    with Progress(len(crystals), 0, "crystals") as progress:
        for name, crystal in crystals:
            if isinstance(crystal, StructureError):
                rows.append({"id": name, **unscored(crystal.reason, detail=crystal.detail), "template": None})
            else:
                rows.append(_row(name, to_structure(crystal), settings))
            progress.advance(1)
    result = _evaluation(rows, units, None, settings, seed=0)
    with atomic_path(output / "per_crystal.csv") as temporary:
        result.table.to_csv(temporary, index=False, lineterminator="\n")
    write_summary(output / "summary.csv", result.summary.to_dict("records"))
    print(result.summary.drop(columns="note").to_string(index=False, float_format=lambda v: f"{v:.4g}", na_rep=""))
    print(f"wrote {output / 'per_crystal.csv'} ({len(rows)} crystals)")
    print(f"wrote {output / 'summary.csv'} ({len(result.summary)} metrics)")


def _row(name: str, structure: Structure, settings: ScoreSettings) -> dict[str, Any]:
    """Scores of one crystal, in its conventional cell where one is found, so that they do not depend on the cell given.

    Atoms stay where they are: a cell idealised to `symprec` would have that symmetry at every tolerance.
    """
    if not structure.is_ordered:
        formula = structure.composition.reduced_formula
        return {"id": name, **unscored("disordered", formula=formula), "template": None}
    scores = score(_conventional(structure, settings.symprec), None, settings.symprec, settings.smact_seconds)
    if scores["status"] == "bad_cell" or scores["status"].startswith("failed"):
        return {"id": name, **scores, "template": None}
    try:
        template = reduce(structure, settings.symprec).template
    except InputError as error:
        return {"id": name, **scores, "status": getattr(error, "reason", "not_reduced"), "template": None}
    return {"id": name, **scores, "template": template}


def _conventional(structure: Structure, symprec: float) -> Structure:
    """Conventional cell, geometry untouched; the cell as it is where spglib finds none (overlapping atoms)."""
    given = (structure.lattice.matrix, structure.frac_coords, structure.atomic_numbers)
    if not (np.isfinite(given[0]).all() and np.isfinite(given[1]).all()):
        return structure
    try:
        cell = spglib.standardize_cell(given, to_primitive=False, no_idealize=True, symprec=symprec)
    except spglib.SpglibError:
        return structure
    return structure if cell is None else Structure(cell[0], [int(z) for z in cell[2]], cell[1])


def _evaluation(
    rows: list[dict[str, Any]],
    reference: AsymmetricUnits | None,
    train: AsymmetricUnits | None,
    settings: ScoreSettings,
    seed: int,
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
