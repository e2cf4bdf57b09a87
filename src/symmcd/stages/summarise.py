"""Stage ``summarise``: scored shards → one table of crystals, metrics of the whole set, and the paper's tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.content import amounts, templates
from symmcd.crystallography.normaliser import canonical_template
from symmcd.crystallography.orbit import replicate_flat
from symmcd.errors import InputError
from symmcd.journal import Progress
from symmcd.metrics.coverage import add_coverage, coverage
from symmcd.metrics.crystal_scores import COLUMNS, FLAGS
from symmcd.metrics.fingerprints import Fingerprints
from symmcd.metrics.magpie import Scale, composition_fingerprints
from symmcd.metrics.originality import add_originality, originality
from symmcd.metrics.published import write_tables
from symmcd.metrics.set_summary import Reference, summarise_set, write_summary
from symmcd.metrics.tables import WHOLE, write_per_crystal
from symmcd.settings import ScoreSettings
from symmcd.storage import read_units
from symmcd.structures.convert import crystals_to_structures
from symmcd.tables import check_flags, check_ids, check_numbers, read_rows
from symmcd.workers import cores

NUMBERS = (*WHOLE, "volume", "density", "closest", "closest_with_images")  # columns of the shards


def run(
    shards: list[Path],
    units: Path,
    train: Path,
    reference: Path,
    fingerprints: Path,
    reference_fingerprints: Path,
    output_dir: Path,
    settings: ScoreSettings,
    seed: int,
    predictor: Path | None = None,
    workers: int = 0,
) -> None:
    """Write per_crystal.csv (all shards, with templates and coverage), summary.csv, and the paper's tables 1 and 2.

    Args:
        shards: tables of `symmcd score`.
        units: the generated crystals.
        train: training set, of templates and of the scale of composition fingerprints.
        reference: held-out set, of distributions and coverage.
        fingerprints: of `units`, by `symmcd fingerprint`.
        reference_fingerprints: of `reference`.
        output_dir: gets the files.
        settings: sample size and cutoffs.
        seed: of the sample and the bootstrap.
        workers: processes that compare with the training set; 0 = one a core.
        predictor: of formation energies, by `symmcd predictor`; without it there is no d_E.

    Raises:
        InputError: a file is missing, or shards or fingerprints are not those of the crystals.
    """
    generated, trained, held_out = read_units(units), read_units(train), read_units(reference)
    table = read_shards(shards)
    where = shards[0] if len(shards) == 1 else shards[0].parent
    check_ids(where, table["id"].tolist(), generated.label.tolist(), units, "score")
    table = table.set_index("id").loc[generated.label].reset_index()
    table = table.astype(dict.fromkeys(WHOLE, "Int64"))  # an unscored crystal must not turn 225 into 225.0
    known = templates(trained)
    table["template"] = templates(generated)
    table["template_in_train"] = np.isin(table["template"], known)
    table["template_canonical"] = list(map(canonical_template, table["template"]))
    ours = read_fingerprints(fingerprints, units, generated.label)
    theirs = read_fingerprints(reference_fingerprints, reference, held_out.label)
    scale = Scale.of(composition_fingerprints(amounts(trained)))
    covered = coverage(ours, theirs, scale, settings.structure_cutoff, settings.composition_cutoff)
    add_coverage(table, ours, covered)
    structures = crystals_to_structures(replicate_flat(generated))
    groups = table["space_group_found"].fillna(0).astype(int).tolist()
    with Progress(len(table), 0, "crystals compared with the training set") as progress:
        own = originality(
            generated.label.tolist(),
            structures,
            groups,
            trained,
            settings.prototype_sample,
            seed,
            progress.advance,
            workers or cores(),
        )
    add_originality(table, own)
    energy, error = _formation_energies(predictor, output_dir, {"generated": generated, "reference": held_out})
    if energy:
        table["formation_energy"] = energy["generated"]
    compared = Reference.of(held_out, energy.get("reference"))
    rows = [*summarise_set(table, known, compared, settings.distribution_sample, seed, covered, own), error]
    written = [*write_per_crystal(output_dir, table), output_dir / "summary.csv"]
    write_summary(written[-1], rows)
    for path in [*written, *write_tables(output_dir, rows)]:
        print(f"wrote {path}")
    print(f"{len(table)} crystals, {len(rows)} metrics")


def _formation_energies(
    path: Path | None, output_dir: Path, sets: dict[str, AsymmetricUnits]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Predicted formation energies of each set (B,), eV/atom, and the summary's row on the predictor.

    They are kept beside the output, and found again for the same weights and crystals.  No energies, and a row that
    says why, where there is no predictor.
    """
    row = {"metric": "formation_energy_error", "protocol": "paper", "value": None, "low": None, "high": None, "n": 0}
    if path is None:
        return {}, row | {"note": "no predictor of formation energies"}
    from symmcd.formation_energy.predictor import predict_cached, read_predictor

    predictor = read_predictor(path)
    if isinstance(predictor, str):
        return {}, row | {"note": f"no predictor of formation energies: {predictor}"}
    energies = {}
    for name, units in sets.items():
        with Progress(len(units), 0, f"formation energies, {name}") as progress:
            cache = output_dir / f"formation_energies_{name}.npz"
            energies[name] = predict_cached(cache, path, predictor, units, progress.advance).energy
    of = predictor.metadata
    note = f"eV/atom, mean absolute error of the predictor of d_E ({of['variant'].replace('_', ' ')}) on the test set"
    if of["mae"] is None:
        note = f"predictor of d_E ({of['variant']}): no formation energies in the test set to tell its error"
    return energies, row | {name: of[name] for name in ("low", "high", "n")} | {"value": of["mae"], "note": note}


def read_fingerprints(path: Path, units: Path, label: np.ndarray) -> Fingerprints:
    """Fingerprints of the crystals in `units`, whose names are `label`.

    Raises:
        InputError: missing, unreadable, or of other crystals.
    """
    found = Fingerprints.read(path)
    if found.label.tolist() != label.tolist():
        raise InputError(
            f"{path}: {len(found.label)} fingerprints, not of the {len(label)} crystals of {units};"
            f" run `symmcd fingerprint {units} {path}` again"
        )
    return found


def read_shards(paths: list[Path]) -> pd.DataFrame:
    """All rows of the shards' tables.

    Raises:
        InputError: a file is missing or is no such table.
    """
    parts = []
    for path in paths:
        rows = read_rows(path, COLUMNS, "score")
        check_numbers(path, rows, NUMBERS, "score")
        check_flags(path, rows, FLAGS, "score")
        parts.append(pd.read_csv(path, dtype={"id": str, "formula": str}, keep_default_na=False, na_values=[""]))
    return pd.concat(parts, ignore_index=True)
