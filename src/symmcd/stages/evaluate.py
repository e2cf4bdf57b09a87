"""Stage ``evaluate``: anybody's crystals → every metric of Tables 1 and 2, one row each and a summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pymatgen.core import Structure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.normaliser import canonical_template
from symmcd.errors import InputError
from symmcd.metrics.coverage import add_coverage, coverage
from symmcd.metrics.crystal_scores import COLUMNS, score, unscored
from symmcd.metrics.fingerprints import Fingerprints, fingerprint_set, fingerprints_of_units, sites_of_structure
from symmcd.metrics.magpie import Scale, composition_fingerprints, element_counts
from symmcd.metrics.originality import Originality, add_originality, originality
from symmcd.metrics.published import write_tables
from symmcd.metrics.set_summary import Reference, summarise_set, write_summary
from symmcd.metrics.tables import WHOLE, write_per_crystal
from symmcd.metrics.templates import templates
from symmcd.metrics.workers import cores
from symmcd.settings import ScoreSettings
from symmcd.stability.journal import Progress
from symmcd.storage import read_units
from symmcd.structures.cif import StructureError
from symmcd.structures.convert import to_structure
from symmcd.structures.files import cif_files, files_of
from symmcd.structures.read import read_structures
from symmcd.structures.symmetry_search import SymmetryError, conventional_cell
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
    workers: int = 0,
    cache: Path | None = None,
) -> Evaluation:
    """Score crystals in any cell, ordered or not; what cannot be scored is a row with a status and counts as invalid.

    Args:
        structures: pymatgen structures, by name if a mapping.
        reference: set that distributions and coverage are measured against, for example the test set.
        train: set that templates and novelty are measured against, both left out where it is not given, and that
            composition fingerprints are scaled on (`reference` where not given).
        settings: tolerances and limits.
        seed: of the random sample of the distribution metrics.
        workers: processes for fingerprints, which are computed with a reference only; 0 = one a core.
        cache: file that keeps fingerprints for the next time; the 9,000 of a reference take a minute or two.

    Raises:
        InputError: no structures.
    """
    named = dict(structures) if isinstance(structures, Mapping) else {f"{i:05d}": s for i, s in enumerate(structures)}
    return _evaluate(list(named.items()), reference, train, settings or ScoreSettings(), seed, workers, cache)


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
        workers: processes for fingerprints; 0 = one a core.

    Raises:
        InputError: nothing to evaluate, or a reference that cannot be read.
    """
    held_out = read_units(reference) if reference is not None else None
    known = read_units(train) if train is not None else None
    path = _whole_set(path)
    crystals = [(name, c if isinstance(c, StructureError) else to_structure(c)) for name, c in read_structures(path)]
    _tell_of_others(path)
    cache = cache or output / "fingerprints.sqlite"
    result = _evaluate(crystals, held_out, known, settings, seed=0, workers=workers, cache=cache)
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
    crystals: Sequence[tuple[str, Structure | StructureError]],
    reference: AsymmetricUnits | None,
    train: AsymmetricUnits | None,
    settings: ScoreSettings,
    seed: int,
    workers: int,
    cache: Path | None,
) -> Evaluation:
    if not crystals:
        raise InputError("no structures to evaluate")
    rows = []
    with Progress(len(crystals), 0, "crystals") as progress:
        for name, crystal in crystals:
            if isinstance(crystal, StructureError):
                rows.append({"id": name, **unscored(crystal.reason, detail=crystal.detail), "template": None})
            else:
                rows.append(_row(name, crystal, settings))
            progress.advance(1)
    table = pd.DataFrame(rows, columns=[*COLUMNS, "template"]).astype(dict.fromkeys(WHOLE, "Int64"))
    table["template_canonical"] = [None if pd.isna(t) else canonical_template(t) for t in table["template"]]
    covered = None
    if reference is not None:
        workers = workers or cores()
        ours = _fingerprints(crystals, cache, workers, settings.fingerprint_seconds)
        with Progress(len(reference), 0, "fingerprints of the reference") as progress:
            theirs = fingerprints_of_units(reference, cache, workers, settings.fingerprint_seconds, progress.advance)
        scale = Scale.of(composition_fingerprints(element_counts(reference if train is None else train)))
        covered = coverage(ours, theirs, scale, settings.structure_cutoff, settings.composition_cutoff)
        add_coverage(table, ours, covered)
    own = None
    if train is not None:
        own = _originality(table, crystals, train, settings, seed, workers or cores())
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


def _originality(
    table: pd.DataFrame,
    crystals: Sequence[tuple[str, Structure | StructureError]],
    train: AsymmetricUnits,
    settings: ScoreSettings,
    seed: int,
    workers: int,
) -> Originality:
    """Uniqueness and novelty; also as columns of the table."""
    names = [name for name, _ in crystals]
    usable = (table["status"] != "bad_cell").tolist()
    structures = [c if isinstance(c, Structure) and ok else None for (_, c), ok in zip(crystals, usable, strict=True)]
    groups = table["space_group_found"].fillna(0).astype(int).tolist()
    with Progress(len(names), 0, "crystals compared with the training set") as progress:
        own = originality(names, structures, groups, train, settings.prototype_sample, seed, progress.advance, workers)
    add_originality(table, own)
    return own


def _fingerprints(
    crystals: Sequence[tuple[str, Structure | StructureError]], cache: Path | None, workers: int, seconds: float
) -> Fingerprints:
    """Fingerprints of the crystals; those that cannot be read or are disordered have their reason for an outcome."""
    usable = [i for i, (_, c) in enumerate(crystals) if not isinstance(c, StructureError) and c.is_ordered]
    structures = [structure for i in usable if isinstance(structure := crystals[i][1], Structure)]
    counts = np.array([np.bincount(s.atomic_numbers, minlength=119) for s in structures]).reshape(-1, 119)
    sites = [sites_of_structure(s) for s in structures]
    with Progress(len(usable), 0, "fingerprints") as progress:
        found = fingerprint_set(
            [crystals[i][0] for i in usable], sites, counts, cache, workers, seconds, progress.advance
        )
    reasons = [c.reason if isinstance(c, StructureError) else "disordered" for _, c in crystals]
    return found.spread(np.array(usable, int), [name for name, _ in crystals], reasons)


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
    try:
        cell = conventional_cell(structure.lattice.matrix, structure.frac_coords, structure.atomic_numbers, symprec)
    except SymmetryError:
        return structure
    return Structure(cell[0], [int(z) for z in cell[2]], cell[1])
