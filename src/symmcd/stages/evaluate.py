"""Stage ``evaluate``: anybody's crystals → every metric of Tables 1 and 2, one row each and a summary."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from symmcd.command import Parser
from symmcd.errors import InputError
from symmcd.output_folder import RESULTS
from symmcd.settings import ScoreSettings
from symmcd.workers import cores

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import IStructure

    from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
    from symmcd.metrics.evaluation import Evaluation

EXAMPLE = "my_cifs/ --output scored/ --reference results/asymmetric_units/test.npz"


def arguments(parser: Parser) -> None:
    """What the command line takes."""
    text = "a folder or zip of CIFs, a csv, an extxyz, JSON of structures; or what `generate` wrote"
    parser.add_argument("structures", type=Path, help=text)
    parser.add_output("gets per_crystal.csv, summary.csv, tables", metavar="DIR")
    for option, text in (
        ("--reference", "test crystals; without them neither coverage nor distances"),
        ("--train", "training crystals; without them neither novelty nor new templates"),
        ("--predictor", "of `symmcd predictor`, for d_E beside a reference; without it no d_E"),
        ("--cache", "known fingerprints (default: fingerprints.sqlite in the output)"),
    ):
        parser.add_argument(option, type=Path, metavar="FILE", help=text)
    parser.add_seed()
    parser.add_workers()
    parser.add_overwrite(RESULTS["evaluate"])
    parser.add_settings("score")


def evaluate(
    structures: Iterable[IStructure | Atoms | AsymmetricUnit] | Mapping[str, IStructure] | IStructure | Path | str,
    reference: AsymmetricUnits | Path | str | None = None,
    train: AsymmetricUnits | Path | str | None = None,
    settings: ScoreSettings | None = None,
    seed: int = 0,
    workers: int = 0,
    cache: Path | None = None,
    predictor: Path | None = None,
) -> Evaluation:
    """Score crystals in any cell, ordered or not; what cannot be scored is a row with a status and counts as invalid.

    Args:
        structures: pymatgen structures, ASE's atoms or asymmetric units, by name if a mapping, or one of them; or the
            path of a file or folder that `read_structures` reads.  Oxidation states, spins and isotopes are left out.
            A crystal of more than `MOST_ATOMS` atoms is ``too_large``; one that takes more than
            `settings.crystal_seconds`, ends its process or finds no memory is ``timed_out``, ``crashed`` or
            ``out_of_memory``.
        reference: set that distributions and coverage are measured against, for example the test set; or its file.
        train: set that templates and novelty are measured against, both left out where it is not given, and that
            composition fingerprints are scaled on (`reference` where not given).
        settings: tolerances and limits.
        seed: of the random sample of the distribution metrics.
        workers: processes, as far as the crystals are worth them; 0 = one a core.
        cache: file that keeps fingerprints for the next time; the 9,000 of a reference take a minute or two.  Predicted
            energies are kept beside it.
        predictor: of formation energies, by `symmcd predictor`; with a reference, for d_E.

    Raises:
        InputError: no structures, something that is no crystal at all, or a set that cannot be read.
    """
    from symmcd.metrics.evaluation import Options
    from symmcd.metrics.own_crystals import EvaluationLimits, entries_of, evaluate_entries, read_entries
    from symmcd.structures.units import existing

    reference, train, settings = _units_of(reference), _units_of(train), settings or ScoreSettings()
    entries = read_entries(existing(structures)) if isinstance(structures, str | PathLike) else entries_of(structures)
    limits = EvaluationLimits(
        settings.symprec, settings.smact_seconds, settings.crystal_seconds, settings.fingerprint_seconds
    )
    options = Options(
        settings.distribution_sample, settings.prototype_sample, settings.structure_cutoff,
        settings.composition_cutoff, seed, workers or cores(),
    )  # fmt: skip
    predict = None
    if predictor is not None and reference is None:
        raise InputError(f"{predictor}: energies are compared with those of a reference set; give one too")
    if predictor is not None:
        from symmcd.formation_energy.set_energies import predicted_energies

        folder = None if cache is None else Path(cache).parent
        predict = functools.partial(predicted_energies, Path(predictor), folder=folder)
    return evaluate_entries(entries, reference, train, limits, options, cache, predict)


def _units_of(given: AsymmetricUnits | Path | str | None) -> AsymmetricUnits | None:
    """Crystals of a set, or of its file.

    Raises:
        InputError: a file that cannot be read.
    """
    from symmcd.storage import read_units

    return read_units(Path(given)) if isinstance(given, str | PathLike) else given


def run(
    structures: Path,
    output: Path,
    reference: Path | None,
    settings: ScoreSettings,
    train: Path | None = None,
    cache: Path | None = None,
    workers: int = 0,
    predictor: Path | None = None,
    seed: int = 0,
) -> None:
    """Evaluate a file or folder of crystals; write per_crystal.csv, summary.csv and the paper's tables into `output`.

    Args:
        structures: whatever `read_structures` reads, or a folder that `symmcd generate` wrote.
        output: folder.
        reference: asymmetric units to compare with.
        settings: tolerances and limits.
        train: asymmetric units of the training set.
        cache: file of fingerprints; beside the output where not given.
        workers: processes; 0 = one a core.
        predictor: of formation energies.
        seed: of the random sample of the distribution metrics.

    Raises:
        InputError: nothing to evaluate, or a reference that cannot be read.
    """
    cache = cache or output / "fingerprints.sqlite"
    result = evaluate(structures, reference, train, settings, seed, workers, cache, predictor)
    print(result.summary.drop(columns="note").to_string(index=False, float_format=lambda v: f"{v:.4g}", na_rep=""))
    for file in result.write(output):
        print(f"wrote {file}")
    print(f"{len(result.table)} crystals, {len(result.rows)} metrics")
