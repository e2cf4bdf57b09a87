"""Stage ``evaluate``: anybody's crystals → every metric of Tables 1 and 2, one row each and a summary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ase import Atoms
from pymatgen.core import IStructure, Structure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.content import amounts, templates
from symmcd.crystallography.normaliser import canonical_template
from symmcd.errors import InputError
from symmcd.journal import Progress
from symmcd.metrics.coverage import add_coverage, coverage
from symmcd.metrics.crystal_row import WORK, Question
from symmcd.metrics.crystal_scores import COLUMNS, unscored
from symmcd.metrics.fingerprints import Fingerprints, Sites, fingerprint_set, fingerprints_of_units
from symmcd.metrics.magpie import Scale, composition_fingerprints
from symmcd.metrics.originality import Originality, add_originality, originality
from symmcd.metrics.published import write_tables
from symmcd.metrics.set_summary import Reference, summarise_set, write_summary
from symmcd.metrics.tables import WHOLE, write_per_crystal
from symmcd.settings import ScoreSettings
from symmcd.storage import read_units
from symmcd.structures.convert import from_object, to_structure
from symmcd.structures.crystal import RawCrystal, StructureError
from symmcd.structures.files import cif_files, files_of
from symmcd.structures.read import read_structures
from symmcd.structures.units import existing
from symmcd.workers import OF_THE_MACHINE, cores, work

A_PROCESS = 100  # crystals that are worth the start of one more process


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One row a crystal, and metrics of the set (``metric, protocol, value, low, high, n, note``)."""

    table: pd.DataFrame
    summary: pd.DataFrame


def evaluate(
    structures: Iterable[IStructure | Atoms | AsymmetricUnit] | Mapping[str, IStructure] | IStructure | Path | str,
    reference: AsymmetricUnits | None = None,
    train: AsymmetricUnits | None = None,
    settings: ScoreSettings | None = None,
    seed: int = 0,
    workers: int = 0,
    cache: Path | None = None,
) -> Evaluation:
    """Score crystals in any cell, ordered or not; what cannot be scored is a row with a status and counts as invalid.

    Args:
        structures: pymatgen structures, ASE's atoms or asymmetric units, by name if a mapping, or one of them; or the
            path of a file or folder that `read_structures` reads.  Oxidation states, spins and isotopes are left out.
            A crystal of more than `MOST_ATOMS` atoms is ``too_large``; one that takes more than
            `settings.crystal_seconds`, ends its process or finds no memory is ``timed_out``, ``crashed`` or
            ``out_of_memory``.
        reference: set that distributions and coverage are measured against, for example the test set.
        train: set that templates and novelty are measured against, both left out where it is not given, and that
            composition fingerprints are scaled on (`reference` where not given).
        settings: tolerances and limits.
        seed: of the random sample of the distribution metrics.
        workers: processes, as far as the crystals are worth them; 0 = one a core.
        cache: file that keeps fingerprints for the next time; the 9,000 of a reference take a minute or two.

    Raises:
        InputError: no structures, or something that is no crystal at all.
    """
    if isinstance(structures, str | PathLike):
        entries = _read(existing(structures))
    else:
        entries = [_entered(name, crystal) for name, crystal in _named(structures)]
    return _evaluate(entries, reference, train, settings or ScoreSettings(), seed, workers, cache)


@dataclass(frozen=True, eq=False)
class Entry:
    """A crystal that came in under a name, or why it cannot be used."""

    name: str
    crystal: RawCrystal | StructureError
    formula: str | None = None  # of one that cannot be used, where it is known


def _named(structures: object) -> list[tuple[str, object]]:
    """Name and content of each entry, whatever it may be.

    Raises:
        InputError: no entries at all.
    """
    if isinstance(structures, Mapping):
        return [(str(name), crystal) for name, crystal in structures.items()]
    if isinstance(structures, IStructure | Atoms | AsymmetricUnit):  # a structure is a sequence, too: of sites
        return [("00000", structures)]
    if isinstance(structures, AsymmetricUnits):
        return [(str(structures.label[i]), structures[i]) for i in range(len(structures))]
    if not isinstance(structures, Iterable):
        raise InputError(f"evaluate({structures!r:.60}): expected crystals or a path, got {type(structures).__name__}")
    return [(f"{i:05d}", crystal) for i, crystal in enumerate(structures)]


def _entered(name: str, crystal: object) -> Entry:
    """The crystal, or why it cannot be used.

    Raises:
        InputError: it is no crystal at all.
    """
    try:
        return Entry(name, from_object(crystal))
    except StructureError as error:
        formula = crystal.composition.reduced_formula if isinstance(crystal, IStructure) and len(crystal) else None
        return Entry(name, error, formula)
    except InputError as error:
        raise InputError(f"crystal {name}: {error}") from None


def _read(path: Path) -> list[Entry]:
    """Entries of a file or folder; what of it was not read is said."""
    path = _whole_set(path)
    entries = [Entry(name, crystal) for name, crystal in read_structures(path)]
    _tell_of_others(path)
    return entries


def run(
    path: Path,
    output: Path,
    reference: Path | None,
    settings: ScoreSettings,
    train: Path | None = None,
    cache: Path | None = None,
    workers: int = 0,
) -> None:
    """Evaluate a file or folder of crystals; write per_crystal.csv, summary.csv and the paper's tables into `output`.

    Args:
        path: whatever `read_structures` reads, or a folder that `symmcd generate` wrote.
        output: folder.
        reference: asymmetric units to compare with.
        settings: tolerances and limits.
        train: asymmetric units of the training set.
        cache: file of fingerprints; beside the output where not given.
        workers: processes; 0 = one a core.

    Raises:
        InputError: nothing to evaluate, or a reference that cannot be read.
    """
    held_out = read_units(reference) if reference is not None else None
    known = read_units(train) if train is not None else None
    entries = _read(path)
    cache = cache or output / "fingerprints.sqlite"
    result = _evaluate(entries, held_out, known, settings, seed=0, workers=workers, cache=cache)
    rows = result.summary.astype(object).where(result.summary.notna(), None).to_dict("records")
    written = [*write_per_crystal(output, result.table), output / "summary.csv"]
    write_summary(written[-1], rows)
    print(result.summary.drop(columns="note").to_string(index=False, float_format=lambda v: f"{v:.4g}", na_rep=""))
    for file in [*written, *write_tables(output, rows)]:
        print(f"wrote {file}")
    print(f"{len(result.table)} crystals, {len(result.summary)} metrics")


def _whole_set(path: Path) -> Path:
    """The file with the crystals of a folder without CIFs, such as `symmcd generate` writes of more than 300."""
    if path.is_dir() and not cif_files(path):
        for name in ("crystals.extxyz", "cif.zip"):
            if (path / name).is_file():
                print(f"no .cif in {path}: {name} in it is read")
                return path / name
    return path


def _tell_of_others(path: Path) -> None:
    """Say which files of a folder were not read: only its CIFs are."""
    others = sorted(p.name for p in files_of(path) if p.suffix.lower() != ".cif") if path.is_dir() else []
    if others:
        named = ", ".join(others[:3]) + (", …" if len(others) > 3 else "")
        print(f"not read: {len(others)} files of {path} that are no .cif ({named}); evaluate them on their own")


def _evaluate(
    entries: Sequence[Entry],
    reference: AsymmetricUnits | None,
    train: AsymmetricUnits | None,
    settings: ScoreSettings,
    seed: int,
    workers: int,
    cache: Path | None,
) -> Evaluation:
    if not entries:
        raise InputError("no structures to evaluate")
    workers = workers or cores()
    rows = _rows(entries, settings, workers, with_sites=reference is not None)
    sites = [row.pop("sites", None) for row in rows]
    table = pd.DataFrame(rows, columns=[*COLUMNS, "template"]).astype(dict.fromkeys(WHOLE, "Int64"))
    table["template_canonical"] = [None if pd.isna(t) else canonical_template(t) for t in table["template"]]
    covered = None
    if reference is not None:
        ours = _fingerprints(table, entries, sites, cache, workers, settings.fingerprint_seconds)
        with Progress(len(reference), 0, "fingerprints of the reference") as progress:
            theirs = fingerprints_of_units(reference, cache, workers, settings.fingerprint_seconds, progress.advance)
        scale = Scale.of(composition_fingerprints(amounts(reference if train is None else train)))
        covered = coverage(ours, theirs, scale, settings.structure_cutoff, settings.composition_cutoff)
        add_coverage(table, ours, covered)
    own = None
    if train is not None:
        own = _originality(table, entries, train, settings, seed, workers)
    summary = summarise_set(
        table,
        templates(train) if train is not None else None,
        Reference.of(reference) if reference is not None else None,
        settings.distribution_sample,
        seed,
        covered,
        own,
    )
    return Evaluation(table, pd.DataFrame(summary))


def _rows(entries: Sequence[Entry], settings: ScoreSettings, workers: int, *, with_sites: bool) -> list[dict[str, Any]]:
    """A row of the table for each entry, in order, made in processes that a crystal may hang or crash."""
    rows: list[dict[str, Any]] = [{}] * len(entries)
    asked: list[int] = []
    questions: list[Question] = []
    for i, entry in enumerate(entries):
        if isinstance(entry.crystal, StructureError):
            reason, detail = entry.crystal.reason, entry.crystal.detail
            rows[i] = {"id": entry.name, **unscored(reason, formula=entry.formula, detail=detail), "template": None}
        else:
            asked.append(i)
            questions.append(Question(entry.crystal, settings.symprec, settings.smact_seconds, with_sites))
    processes, seconds = min(workers, 1 + len(asked) // A_PROCESS), settings.crystal_seconds + settings.smact_seconds
    with Progress(len(entries), len(entries) - len(asked), "crystals") as progress:
        for place, outcome in work(WORK, questions, processes, seconds):
            i = asked[place]
            row = outcome.value
            if outcome.status != "ok":
                formula = to_structure(questions[place].crystal).composition.reduced_formula
                row = {**unscored(outcome.failure, formula=formula, detail=outcome.detail), "template": None}
            rows[i] = {"id": entries[i].name, **row}
            progress.advance(1)
    return rows


def _usable(table: pd.DataFrame, entries: Sequence[Entry]) -> list[tuple[int, RawCrystal]]:
    """Index and crystal of each entry that can be compared with others: not of one that ended its process."""
    lost = table["status"].isin(["bad_cell", *OF_THE_MACHINE]).tolist()
    crystals = ((i, entry.crystal) for i, entry in enumerate(entries) if not lost[i])
    return [(i, crystal) for i, crystal in crystals if not isinstance(crystal, StructureError)]


def _originality(
    table: pd.DataFrame,
    entries: Sequence[Entry],
    train: AsymmetricUnits,
    settings: ScoreSettings,
    seed: int,
    workers: int,
) -> Originality:
    """Uniqueness and novelty; also as columns of the table."""
    names = [entry.name for entry in entries]
    structures: list[Structure | None] = [None] * len(entries)
    for i, crystal in _usable(table, entries):
        structures[i] = to_structure(crystal)
    groups = table["space_group_found"].fillna(0).astype(int).tolist()
    with Progress(len(names), 0, "crystals compared with the training set") as progress:
        own = originality(names, structures, groups, train, settings.prototype_sample, seed, progress.advance, workers)
    add_originality(table, own)
    return own


def _fingerprints(
    table: pd.DataFrame,
    entries: Sequence[Entry],
    sites: Sequence[Sites | None],
    cache: Path | None,
    workers: int,
    seconds: float,
) -> Fingerprints:
    """Fingerprints of the crystals; those that cannot be used have their reason for an outcome."""
    names = [entry.name for entry in entries]
    usable = {i: (crystal, own) for i, crystal in _usable(table, entries) if (own := sites[i]) is not None}
    counts = np.array([np.bincount(crystal.element, minlength=119) for crystal, _ in usable.values()]).reshape(-1, 119)
    with Progress(len(usable), 0, "fingerprints") as progress:
        found = fingerprint_set(
            [names[i] for i in usable], [s for _, s in usable.values()], counts, cache, workers, seconds,
            progress.advance,
        )  # fmt: skip
    return found.spread(np.array(list(usable), int), names, table["status"].tolist())
