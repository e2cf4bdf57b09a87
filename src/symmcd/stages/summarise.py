"""Stage ``summarise``: scored shards → one table of crystals, metrics of the whole set, and the paper's tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from symmcd.command import Parser
from symmcd.errors import InputError
from symmcd.settings import ScoreSettings
from symmcd.tables import check_flags, check_ids, check_numbers, read_rows
from symmcd.workers import cores

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
    from symmcd.metrics.fingerprints import Fingerprints

EXAMPLE = """results/metrics/shard*.csv --units results/crystals/units.npz
    --train results/asymmetric_units/train.npz --reference results/asymmetric_units/test.npz
    --fingerprints results/fingerprints/generated.npz --reference-fingerprints results/fingerprints/test.npz
    --output results/metrics"""

NUMBERS = ("volume", "density", "closest", "closest_with_images")  # columns of the shards


def arguments(parser: Parser) -> None:
    """Declare the arguments of the command line."""
    parser.add_argument("shards", type=Path, nargs="+", help="csv files of `symmcd score`")
    for option, text in (
        ("--units", "units.npz of `symmcd replicate`"),
        ("--train", "asymmetric units of the training set"),
        ("--reference", "asymmetric units of the test set"),
        ("--fingerprints", "fingerprints of the generated crystals, by `symmcd fingerprint`"),
        ("--reference-fingerprints", "of the test set"),
    ):
        parser.add_argument(option, type=Path, required=True, metavar="FILE", help=text)
    text = "predictor of `symmcd predictor`; needed for d_E"
    parser.add_argument("--predictor", type=Path, metavar="FILE", help=text)
    parser.add_output("folder for per_crystal.csv, summary.csv and the tables", metavar="DIR")
    parser.add_seed()
    parser.add_workers()
    parser.add_settings("score")
    parser.add_moved("--output-dir", "it is --output now")


def run(
    shards: list[Path],
    units: Path,
    train: Path,
    reference: Path,
    fingerprints: Path,
    reference_fingerprints: Path,
    output: Path,
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
        output: gets the files.
        settings: sample size and cutoffs.
        seed: of the sample and the bootstrap.
        workers: processes that compare with the training set; 0 = one per core.
        predictor: of formation energies, by `symmcd predictor`; without it there is no d_E.

    Raises:
        InputError: a file is missing, or shards or fingerprints are not those of the crystals.
    """
    from symmcd.crystallography.orbit import replicate_flat
    from symmcd.metrics.evaluation import Options, evaluate_set
    from symmcd.metrics.reference_set import ReferenceSet
    from symmcd.metrics.set_summary import Predicted
    from symmcd.storage import read_units
    from symmcd.structures.convert import crystals_to_structures

    generated, held_out = read_units(units), ReferenceSet(read_units(reference))
    trained = ReferenceSet(read_units(train))
    table = read_shards(shards, generated, units)
    prints = (
        read_fingerprints(fingerprints, units, generated.label),
        read_fingerprints(reference_fingerprints, reference, held_out.units.label),
    )
    energies = Predicted("no predictor of formation energies")
    if predictor is not None:
        from symmcd.formation_energy.set_energies import predicted_energies

        energies = predicted_energies(predictor, generated, held_out.units, output)
    structures = crystals_to_structures(replicate_flat(generated))
    options = Options(
        settings.distribution_sample, settings.prototype_sample, settings.structure_cutoff,
        settings.composition_cutoff, seed, workers or cores(),
    )  # fmt: skip
    best_of = generated.best_of
    result = evaluate_set(table, structures, trained, held_out, prints, energies, options, best_of)
    for path in result.write(output):
        print(f"wrote {path}")
    print(f"{len(result.table)} crystals, {len(result.rows)} metrics")


def read_fingerprints(path: Path, units: Path, label: np.ndarray) -> Fingerprints:
    """Fingerprints of the crystals in `units`, whose names are `label`.

    Raises:
        InputError: missing, unreadable, or of other crystals.
    """
    from symmcd.metrics.fingerprints import Fingerprints

    fingerprints = Fingerprints.read(path)
    if fingerprints.label.tolist() != label.tolist():
        raise InputError(
            f"{path}: {len(fingerprints.label)} fingerprints, not of the {len(label)} crystals of {units};"
            f" run `symmcd fingerprint {units} --output {path}` again"
        )
    return fingerprints


def read_shards(paths: list[Path], generated: AsymmetricUnits, units: Path) -> pd.DataFrame:
    """All rows of the shards' tables, in the order of the crystals, and their templates.

    Raises:
        InputError: a file is missing or is no such table, or the rows are not those of the crystals in `units`.
    """
    import pandas as pd

    from symmcd.crystallography.content import templates
    from symmcd.metrics.crystal_scores import FLAGS, WHOLE, columns

    parts = []
    for path in paths:
        rows = read_rows(path, columns(), "score")
        check_numbers(path, rows, (*WHOLE, *NUMBERS), "score")
        check_flags(path, rows, FLAGS, "score")
        parts.append(pd.read_csv(path, dtype={"id": str, "formula": str}, keep_default_na=False, na_values=[""]))
    table = pd.concat(parts, ignore_index=True)
    where = paths[0] if len(paths) == 1 else paths[0].parent
    check_ids(where, table["id"].tolist(), generated.label.tolist(), units, "score")
    table = table.set_index("id").loc[generated.label].reset_index()
    table = table.astype(dict.fromkeys(WHOLE, "Int64"))  # an unscored crystal must not turn 225 into 225.0
    table["template"] = templates(generated)
    return table
