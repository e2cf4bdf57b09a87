"""Stage ``evaluate``: anybody's crystals → every metric of Tables 1 and 2, and if they are relaxed Table 3."""

from __future__ import annotations

import dataclasses
import functools
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symmcd.command import Parser
from symmcd.errors import InputError
from symmcd.extensions import quantities
from symmcd.output_folder import RESULTS
from symmcd.settings import JudgeSettings, RelaxSettings, ScoreSettings, SunSettings, read_section
from symmcd.threads import let_threads_sleep
from symmcd.workers import cores

if TYPE_CHECKING:
    import pandas as pd
    from ase import Atoms
    from pymatgen.core import IStructure

    from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
    from symmcd.metrics.evaluation import Evaluation
    from symmcd.stability.own_evaluation import OwnEvaluation
    from symmcd.stability.set_stability import StabilityOptions

EXAMPLE = (
    "my_cifs/ --output scored/ --reference results/asymmetric_units/test.npz\n"
    "    --train results/asymmetric_units/train.npz --relax"
)
CRYSTALS = "a folder or zip of CIFs, a .cif, .csv, .extxyz, .json, or units.npz"
UNFINISHED = "unfinished"  # folder in the output from which a killed relaxation continues


def arguments(parser: Parser) -> None:
    """Declare the arguments of the command line."""
    text = "a folder or zip of CIFs, a csv, an extxyz, a JSON of structures, or the output folder of `generate`"
    parser.add_argument("structures", type=Path, help=text)
    parser.add_output("folder for per_crystal.csv, summary.csv and the tables", metavar="DIR")
    for option, text in (
        ("--reference", "test crystals; needed for coverage and distances"),
        ("--train", "training crystals; needed for novelty and new templates"),
        ("--predictor", "predictor of `symmcd predictor`; with --reference, needed for d_E"),
        ("--cache", "cache of fingerprints (default: fingerprints.sqlite in the output)"),
    ):
        parser.add_argument(option, type=Path, metavar="FILE", help=text)
    parser.add_seed()
    parser.add_workers()
    parser.add_overwrite(RESULTS["evaluate"])
    group = parser.add_argument_group("stability", "Table 3: stable, unique and novel crystals")
    text = "relax the crystals (relax.number of them, drawn at random) and compute energies above hulls; needs --train"
    group.add_argument("--relax", action="store_true", help=text)
    text = "another potential that judges the relaxed crystals; may be repeated"
    group.add_argument("--judge", dest="judges", action="append", default=[], metavar="NAME", help=text)
    text = "csv with formula and formation_energy_per_atom, for one more hull (default: only each judge's own hull)"
    group.add_argument("--hull", type=Path, metavar="FILE", help=text)
    text = "JSON of elemental reference entries, for --hull"
    group.add_argument("--elemental-references", type=Path, metavar="FILE", help=text)
    parser.add_device()
    parser.add_settings("score", "relax", "judge", "sun", named={"relax": "relax_settings"})


def evaluate(
    structures: Iterable[IStructure | Atoms | AsymmetricUnit] | Mapping[str, IStructure] | IStructure | Path | str,
    reference: AsymmetricUnits | Path | str | None = None,
    train: AsymmetricUnits | Path | str | None = None,
    settings: ScoreSettings | None = None,
    seed: int = 0,
    workers: int = 0,
    cache: Path | None = None,
    predictor: Path | None = None,
    *,
    relax: bool | Mapping[str, Any] | RelaxSettings = False,
    judges: Sequence[str] | JudgeSettings = (),
    hull: Path | str | None = None,
    elemental_references: Path | str | None = None,
    sun: SunSettings | None = None,
    device: str = "auto",
) -> Evaluation:
    """Score crystals in any cell; one that cannot be scored, such as a disordered one, gets a status and is invalid.

    Only the file `cache` is written and, beside it, energies of known crystals.

    Args:
        structures: pymatgen structures, ASE's atoms or asymmetric units, by name if a mapping, or one of them; or the
            path of a file or folder that `read_structures` reads, or of a units.npz.  If a stability model chose the
            crystals (`symmcd generate --stable`), this is known from a units.npz, from files beside it and from
            `AsymmetricUnits` with `best_of`, and noted in all rows; a list does not contain it.  Oxidation states,
            spins and isotopes are ignored.  A crystal of more than `MOST_ATOMS` atoms is ``too_large``; one that takes
            more than `settings.crystal_seconds`, ends its process or runs out of memory is ``timed_out``, ``crashed``
            or ``out_of_memory``.
        reference: set that distributions and coverage are measured against, for example the test set; or its file.
        train: set for templates and novelty, both left out without it, and for the scale of composition fingerprints
            (without it: `reference`).
        settings: tolerances and limits.
        seed: of the random sample of the distribution metrics, and of the crystals that are relaxed.
        workers: largest number of processes; 0 = one per core.
        cache: file that keeps fingerprints for the next call; the 9,000 of a reference take a minute or two.  Predicted
            energies, and energies of hulls, are kept beside it.
        predictor: of formation energies, by `symmcd predictor`; with a reference, for d_E.
        relax: relax the crystals and count which are stable, unique and novel; True, or settings of the section
            `relax`, such as ``{"method": "symmetry", "steps": 100}``.  If there are more than `relax.number` crystals,
            so many are drawn at random.  Crystals that cannot be relaxed are drawn too and stay in the denominators.
        judges: further potentials that decide which crystals are stable, by name, or the section `judge`.  Each has a
            hull of its own energies of `train` and `reference`.
        hull: csv with formula and formation_energy_per_atom for one more hull, with `elemental_references`.
        elemental_references: JSON of elemental reference entries.
        sun: thresholds.
        device: of the potentials: auto, cuda or cpu.

    Raises:
        InputError: no structures, something that is not a crystal at all, a set that cannot be read, or relaxation
            without training crystals or without a package that a judge needs.
    """
    stability = _stability(relax, judges, (hull, elemental_references), sun, train, seed, workers, device)
    sets = reference, train
    plan = _plan(structures, sets, settings or ScoreSettings(), seed, workers or cores(), cache, predictor, stability)
    with tempfile.TemporaryDirectory(prefix="symmcd-") as folder:
        return plan.relaxed(plan.scored(), Path(folder))


def _plan(
    structures: object,
    sets: tuple[AsymmetricUnits | Path | str | None, AsymmetricUnits | Path | str | None],
    settings: ScoreSettings,
    seed: int,
    workers: int,
    cache: Path | None,
    predictor: Path | None,
    stability: StabilityOptions | None,
) -> OwnEvaluation:
    """Read what is given; `sets` are the reference set and the training set.

    Raises:
        InputError: as `evaluate`.
    """
    from symmcd.metrics.evaluation import Options
    from symmcd.metrics.own_crystals import EvaluationLimits
    from symmcd.metrics.reference_set import known_crystals
    from symmcd.stability.own_evaluation import OwnEvaluation
    from symmcd.structures.given_crystals import best_of, entries_of, read_entries
    from symmcd.structures.units import existing

    reference, train = map(known_crystals, sets, ("reference", "train"))
    if isinstance(structures, str | PathLike):
        entries = read_entries(existing(structures, CRYSTALS), exact=stability is not None)
    else:
        entries = entries_of(structures)
    limits = EvaluationLimits(
        settings.symprec, settings.smact_seconds, settings.crystal_seconds, settings.fingerprint_seconds
    )
    options = Options(
        settings.distribution_sample, settings.prototype_sample, settings.structure_cutoff,
        settings.composition_cutoff, seed, workers,
    )  # fmt: skip
    predict = None
    if predictor is not None and reference is None:
        raise InputError(
            f"{predictor}: d_E compares with the energies of a reference set; give --reference (reference=…) too"
        )
    if predictor is not None:
        from symmcd.formation_energy.set_energies import predicted_energies

        folder = None if cache is None else Path(cache).parent
        predict = functools.partial(predicted_energies, Path(predictor), folder=folder)
    how = best_of(structures)
    return OwnEvaluation(entries, reference, train, limits, options, cache, predict, stability, how)


def _stability(
    relax: bool | Mapping[str, Any] | RelaxSettings,
    judges: Sequence[str] | JudgeSettings,
    table: tuple[Path | str | None, Path | str | None],
    sun: SunSettings | None,
    train: object,
    seed: int,
    workers: int,
    device: str,
) -> StabilityOptions | None:
    """Checked settings for relaxing and judging crystals; None if they are not relaxed.

    Args:
        relax: as in `evaluate`, and what follows.
        judges: by name, or settings.
        table: of the further hull, and the elemental references beside it.
        sun: thresholds.
        train: None if there is no training set.
        seed: of the draw.
        workers: processes.
        device: auto, cuda or cpu.

    Raises:
        InputError: options that contradict each other, or a missing file.
    """
    if isinstance(judges, str):
        raise InputError(f"judges = {judges!r}: a list of names, such as [{judges!r}]")
    judge = judges if isinstance(judges, JudgeSettings) else JudgeSettings(potentials=tuple(judges))
    if relax is False:
        for option, value in (("judges (--judge)", judge.potentials), ("a hull (--hull)", table[0] or table[1])):
            if value:
                raise InputError(f"{option} needs relaxed crystals; give --relax (relax=True) too, or leave it out")
        return None
    if train is None:
        raise InputError(
            "stable and novel crystals can only be found with known crystals; give the training crystals "
            "too (--train TRAIN.npz, or train=…), or leave out --relax"
        )
    if (table[0] is None) != (table[1] is None):
        raise InputError(
            "--hull and --elemental-references need each other: formation energies, and the energies of the elements"
        )

    let_threads_sleep()  # before anything that loads torch
    from symmcd.stability.outcome import Limits
    from symmcd.stability.relax_run import Method
    from symmcd.stability.set_stability import StabilityOptions
    from symmcd.stability.sun_run import Counting

    how = relax if isinstance(relax, RelaxSettings) else read_section("relax", {} if relax is True else relax)
    sun = sun or SunSettings()
    limits = Limits(**how.limits())
    options = StabilityOptions(
        Method(how.potential, how.method, limits, how.batch_size), how.number, how.draws, seed,
        judge.potentials, dataclasses.replace(limits, release_steps=0) if judge.relax else None,
        None if table[0] is None or table[1] is None else (Path(table[0]), Path(table[1])),
        Counting(sun.thresholds, sun.min_elements, workers or cores()), device,
    )  # fmt: skip
    options.check()
    return options


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
    *,
    relax: bool = False,
    judges: Sequence[str] = (),
    hull: Path | None = None,
    elemental_references: Path | None = None,
    device: str = "auto",
    relax_settings: RelaxSettings | None = None,
    judge: JudgeSettings | None = None,
    sun: SunSettings | None = None,
) -> None:
    """Evaluate a file or folder of crystals; write per_crystal.csv, summary.csv and the paper's tables into `output`.

    With `relax` also Table 3 and the stability files of a results folder: relaxed/, judges/, hull/, hull.csv, sun.csv,
    sun_per_crystal.csv, candidates.csv and candidates.zip.  Everything is written at the end; a killed run continues
    from the folder ``unfinished`` in `output`.

    Args:
        structures: whatever `read_structures` reads, a folder that `symmcd generate` wrote, or a units.npz.
        output: folder.
        reference, train, predictor: files that the crystals are compared with, as in `evaluate`.
        settings: section `score`.
        cache: file of fingerprints; beside the output where not given.  Energies of known crystals lie beside it.
        workers: processes; 0 = one per core.
        seed: of the random samples.
        relax: relax and judge the crystals, by `relax_settings`, the section `relax`.
        judges: further judges, beside those of the section `judge`.
        hull, elemental_references: files of one more hull.
        device: auto, cuda or cpu.
        relax_settings, judge, sun: sections of these names.

    Raises:
        InputError: nothing to evaluate, a reference that cannot be read, a folder that holds a whole run, or as
            `evaluate`.
    """
    from symmcd.metrics import oversampling
    from symmcd.output_folder import remove_other_results
    from symmcd.writing import delete

    if (output / "asymmetric_units").is_dir():
        raise InputError(f"{output}: holds results of the chain, which would be overwritten; choose another folder")
    section = judge or JudgeSettings()
    of_section = [name for name in section.potentials if name not in judges] if relax else []
    stability = _stability(
        (relax_settings or RelaxSettings()) if relax else False,
        dataclasses.replace(section, potentials=(*judges, *of_section)), (hull, elemental_references), sun, train,
        seed, workers, device,
    )  # fmt: skip
    cache = cache or output / "fingerprints.sqlite"
    plan = _plan(structures, (reference, train), settings, seed, workers or cores(), cache, predictor, stability)
    result = plan.scored()
    _tell_of_unusable(result.table, structures)
    print(_metrics(result.summary))
    if plan.best_of is not None:
        print(oversampling.sentence(plan.best_of))
    if plan.stability is not None:
        result = plan.relaxed(result, output / UNFINISHED)
        print(_rates(result))
    written = result.write(output)
    for file in written:
        print(f"wrote {file}")
    remove_other_results(output, RESULTS["evaluate"], written)
    if plan.stability is not None:
        delete(output / UNFINISHED)
    print(f"{len(result.table)} crystals, {len(result.rows)} metrics")


def _tell_of_unusable(table: pd.DataFrame, structures: Path) -> None:
    """Say how many crystals could not be read or scored, and why not the first of them."""
    from symmcd.structures.files import shown

    unusable = table[table["status"] != "ok"]
    if len(unusable):
        first = unusable.iloc[0]
        reason = ": ".join(str(first[column]) for column in ("status", "detail") if first[column])
        print(
            f"{structures}: {len(unusable)} of {len(table)} crystals cannot be used and count as invalid; the first is "
            f"{shown(str(first['id']))} ({shown(reason)}). The columns status and detail of per_crystal.csv have all",
            file=sys.stderr,
        )


def _metrics(summary: pd.DataFrame) -> str:
    """Metrics as text, each with a few words and its unit."""
    known = quantities()
    words = [
        ", ".join(filter(None, (known[name].label, known[name].unit))) if name in known else ""
        for name in summary["metric"]
    ]
    width = max(map(len, words), default=0)
    table = summary[["metric", "protocol", "value", "low", "high", "n"]].assign(
        **{"meaning".ljust(width): [text.ljust(width) for text in words]}
    )
    lines: str = table.to_string(index=False, float_format=lambda v: f"{v:.4g}", na_rep="")
    return "\n".join(line.rstrip() for line in lines.splitlines())


def _rates(result: Evaluation) -> str:
    """Rates of stable, unique and novel crystals as text."""
    assert result.sun is not None
    columns = ["judge", "hull", "threshold", "n", "initially_stable", "relaxed_stable", "sun", "sun_low", "sun_high"]
    rates: str = result.sun[columns].to_string(index=False, float_format=lambda v: f"{v:.4g}", na_rep="")
    return rates
