"""Crystals from any source: entries, a row of the table for each, and the input of `evaluation.evaluate_set`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pymatgen.core import Structure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.best_of import BestOf
from symmcd.errors import InputError
from symmcd.journal import Progress
from symmcd.metrics.crystal_row import WORK, Question
from symmcd.metrics.crystal_scores import WHOLE, added_metrics, columns, unscored
from symmcd.metrics.evaluation import Evaluation, Options, evaluate_set
from symmcd.metrics.fingerprints import Fingerprints, fingerprint_set, fingerprints_of_units
from symmcd.metrics.reference_set import ReferenceSet
from symmcd.metrics.set_summary import Predicted
from symmcd.structures.cell import Cell
from symmcd.structures.convert import to_structure
from symmcd.structures.crystal import StructureError
from symmcd.structures.given_crystals import OwnCrystal
from symmcd.workers import OF_THE_MACHINE, work

A_PROCESS = 100  # crystals that are worth the start of one more process

Predict = Callable[[AsymmetricUnits, AsymmetricUnits], Predicted]
"""Formation energies of two sets."""


@dataclass(frozen=True)
class EvaluationLimits:
    """Tolerance and time limits of one crystal."""

    symprec: float = 0.1  # Å
    smact_seconds: float = 10.0  # time limit of the composition test
    crystal_seconds: float = 60.0  # beside that, of all other scores
    fingerprint_seconds: float = 60.0


def evaluate_entries(
    entries: Sequence[OwnCrystal],
    reference: ReferenceSet | None,
    train: ReferenceSet | None,
    limits: EvaluationLimits,
    options: Options,
    cache: Path | None,
    predict: Predict | None,
    best_of: BestOf | None = None,
) -> Evaluation:
    """Score every entry, and compare the set with the given reference and training set.

    Args:
        entries: crystals to score.
        reference: for distributions and coverage; None for neither.
        train: for templates and novelty, and for the scale of composition fingerprints (`reference` where None).
        limits: of one crystal.
        options: of the comparison; `options.workers` processes score, as far as the crystals are worth them.
        cache: file of fingerprints.
        predict: for d_E, if there is a reference.
        best_of: how the crystals were chosen, if they were.

    Raises:
        InputError: no entries.
    """
    if not entries:
        raise InputError("no structures to evaluate")
    with_unit = predict is not None and reference is not None
    rows = _rows(entries, limits, options.workers, with_orbits=reference is not None, with_unit=with_unit)
    cells, units = ([row.pop(name, None) for row in rows] for name in ("cell", "unit"))
    table = pd.DataFrame(rows, columns=[*columns(), "template"]).astype(dict.fromkeys(WHOLE, "Int64"))
    prints = energies = None
    if reference is not None:
        workers, seconds = options.workers, limits.fingerprint_seconds
        with Progress(len(_usable(table, entries)), 0, "fingerprints") as bar:
            ours = _fingerprints(table, entries, cells, cache, workers, seconds, bar.advance)
        with Progress(len(reference), 0, "fingerprints of the reference") as bar:
            prints = ours, fingerprints_of_units(reference.units, cache, workers, seconds, bar.advance)
        energies = _energies(predict, units, reference.units) if predict is not None else None
    structures = [] if train is None else _structures(table, entries)
    return evaluate_set(table, structures, train, reference, prints, energies, options, best_of)


def _energies(predict: Predict, units: Sequence[AsymmetricUnit | None], reference: AsymmetricUnits) -> Predicted:
    """Formation energies of the crystals that could be reduced, and of the reference."""
    rows = [i for i, unit in enumerate(units) if unit is not None]
    if not rows:
        return Predicted("no crystal that a formation energy could be predicted for")
    predicted = predict(AsymmetricUnits.from_units([unit for unit in units if unit is not None]), reference)
    if predicted.energies is None:
        return predicted
    energy = np.full(len(units), np.nan)
    energy[rows] = predicted.energies[0]
    return dataclasses.replace(predicted, energies=(energy, predicted.energies[1]))


def _rows(
    entries: Sequence[OwnCrystal], limits: EvaluationLimits, workers: int, *, with_orbits: bool, with_unit: bool
) -> list[dict[str, Any]]:
    """A row of the table for each entry, in order, made in processes that a crystal may hang or crash.

    Raises:
        InputError: a metric that these processes cannot import.
    """
    rows: list[dict[str, Any]] = [{}] * len(entries)
    asked: list[int] = []
    questions: list[Question] = []
    added = added_metrics()
    for name, metric in added:
        if metric.function.startswith("__main__:"):
            raise InputError(
                f"metric {name!r}: worker processes cannot import {metric.function}; put the function into a module"
            )
    for i, entry in enumerate(entries):
        if isinstance(entry.crystal, StructureError):
            reason, detail = entry.crystal.reason, entry.crystal.detail
            rows[i] = {"id": entry.name, **unscored(reason, formula=entry.formula, detail=detail), "template": None}
        else:
            asked.append(i)
            question = Question(entry.crystal, limits.symprec, limits.smact_seconds, with_orbits, with_unit, added)
            questions.append(question)
    processes, seconds = min(workers, 1 + len(asked) // A_PROCESS), limits.crystal_seconds + limits.smact_seconds
    with Progress(len(entries), len(entries) - len(asked), "crystals") as bar:
        for place, outcome in work(WORK, questions, processes, seconds):
            i = asked[place]
            row = outcome.value
            if outcome.status != "ok":
                formula = to_structure(questions[place].crystal).composition.reduced_formula
                row = {**unscored(outcome.failure, formula=formula, detail=outcome.detail), "template": None}
            rows[i] = {"id": entries[i].name, **row}
            bar.advance(1)
    return rows


def _usable(table: pd.DataFrame, entries: Sequence[OwnCrystal]) -> list[tuple[int, Cell]]:
    """Index and crystal of each entry that can be compared with others: not of one that ended its process."""
    lost = table["status"].isin(["bad_cell", *OF_THE_MACHINE]).tolist()
    crystals = ((i, entry.crystal) for i, entry in enumerate(entries) if not lost[i])
    return [(i, crystal) for i, crystal in crystals if not isinstance(crystal, StructureError)]


def unusable(table: pd.DataFrame, entries: Sequence[OwnCrystal]) -> dict[int, str]:
    """Index of each entry that can neither be compared nor relaxed, and why, as the table of the evaluation has it."""
    usable = {i for i, _ in _usable(table, entries)}
    return {i: str(status) for i, status in enumerate(table["status"]) if i not in usable}


def _structures(table: pd.DataFrame, entries: Sequence[OwnCrystal]) -> list[Structure | None]:
    """Crystals to compare with others; None for those that cannot be compared."""
    structures: list[Structure | None] = [None] * len(entries)
    for i, crystal in _usable(table, entries):
        structures[i] = to_structure(crystal)
    return structures


def _fingerprints(
    table: pd.DataFrame,
    entries: Sequence[OwnCrystal],
    cells: Sequence[Cell | None],
    cache: Path | None,
    workers: int,
    seconds: float,
    advance: Callable[[int], None],
) -> Fingerprints:
    """Fingerprints of the crystals; those that cannot be used have their reason for an outcome."""
    names = [entry.name for entry in entries]
    usable = {i: (crystal, own) for i, crystal in _usable(table, entries) if (own := cells[i]) is not None}
    counts = np.array([np.bincount(crystal.element, minlength=119) for crystal, _ in usable.values()]).reshape(-1, 119)
    labels, own_cells = [names[i] for i in usable], [own for _, own in usable.values()]
    fingerprints = fingerprint_set(labels, own_cells, counts, cache, workers, seconds, advance)
    return fingerprints.spread(np.array(list(usable), int), names, table["status"].tolist())
