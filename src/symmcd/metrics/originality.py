"""Crystals compared with each other and with reference sets, in as many processes as they are worth.

`originality` says of the crystals of a set whether they are unlike each other, unlike the training set, and unlike it
with other elements; `look_up` says of crystals which of several sets has them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from pymatgen.core import Structure

from symmcd.metrics.continuous_distance import NEIGHBOURS, distances_of_structure, diversity, nearest
from symmcd.metrics.matching import SECONDS, by_composition, first_matches, matching, unmatchable, worthwhile
from symmcd.metrics.reference_set import ReferenceSet
from symmcd.storage import read_units, write_units
from symmcd.structures.checks import is_sound
from symmcd.workers import Outcome, work

COMPARED = "ok"


@dataclass(frozen=True, eq=False)
class Originality:
    """One entry per crystal.  A crystal that cannot be compared is neither unique nor novel, and `outcome` says why."""

    outcome: np.ndarray  # (B,) str, ``ok`` or what the matcher raised
    duplicate_of: np.ndarray  # (B,) object, name of the first crystal of its kind; empty for itself
    known_as: np.ndarray  # (B,) object, label of a training crystal; empty for a novel one
    sampled: np.ndarray  # (B,) bool, whether its prototype was looked up
    prototype_of: np.ndarray  # (B,) object, label of a training crystal; empty for a new prototype or if not sampled
    distance: np.ndarray  # (B,) Å, to the nearest training crystal by average minimum distances
    diversity: float  # Å, between two of the crystals on average

    @property
    def compared(self) -> np.ndarray:
        """(B,) bool."""
        return self.outcome == COMPARED

    @property
    def unique(self) -> np.ndarray:
        """(B,) bool: compared, and the first of its kind."""
        return self.compared & (self.duplicate_of == "")

    @property
    def novel(self) -> np.ndarray:
        """(B,) bool: compared, and no training crystal matches."""
        return self.compared & (self.known_as == "")

    @property
    def new_prototype(self) -> np.ndarray:
        """(B,) bool: compared, in the sample, and no training crystal matches after an exchange of elements."""
        return self.compared & self.sampled & (self.prototype_of == "")


def originality(
    names: Sequence[str],
    structures: Sequence[Structure | None],
    space_groups: Sequence[int],
    train: ReferenceSet,
    sample: int,
    seed: int,
    advance: Callable[[int], None] = lambda _: None,
    workers: int = 1,
) -> Originality:
    """Compare crystals with each other and with the training set.

    Args:
        names: of the crystals.
        structures: None for what could not be read.
        space_groups: found in them, as those of `train`; 0 where none was.
        train: training set.
        sample: crystals drawn at random from all, whose prototypes are looked up; it takes a quarter of a second each.
        seed: of that draw.
        advance: called with the number of crystals just compared with the training set.
        workers: processes, where there are crystals enough for them.
    """
    number = len(names)
    outcome = np.array([_refused(s) for s in structures], object)
    shape = np.full((number, NEIGHBOURS), np.nan)
    known_as, prototype_of, duplicate_of = (np.full(number, "", object) for _ in range(3))
    sampled = np.zeros(number, bool)
    sampled[np.random.default_rng(seed).choice(number, min(sample, number), replace=False)] = True
    train_shape = train.shape  # before the processes start, which get it
    comparable = _comparable(structures, outcome)
    questions = [(structure, int(space_groups[i]), bool(sampled[i])) for i, structure in comparable]
    advance(number - len(comparable))
    for place, found in _answers("compare", questions, [train], workers):
        i = comparable[place][0]
        if found.status == "ok":
            shape[i], known_as[i], prototype_of[i] = found.value
        else:
            outcome[i] = f"failed:{found.status}"
        advance(1)
    _duplicates(names, structures, outcome, duplicate_of)
    there = np.isfinite(shape).all(axis=1)
    distance = np.full(number, np.nan)
    if there.any() and len(train):
        distance[there] = nearest(shape[there], train_shape)
    return Originality(outcome, duplicate_of, known_as, sampled, prototype_of, distance, diversity(shape[there]))


def add_originality(table: pd.DataFrame, originality: Originality) -> None:
    """Add columns ``comparison, duplicate_of, known_as, prototype, amd_distance`` to the table of crystals."""
    table["comparison"] = originality.outcome
    table["duplicate_of"] = originality.duplicate_of
    table["known_as"] = originality.known_as
    prototype = np.where(originality.new_prototype, "new", originality.prototype_of)
    table["prototype"] = np.where(originality.sampled & originality.compared, prototype, "")
    table["amd_distance"] = np.round(originality.distance, 6)


@dataclass(frozen=True)
class Found:
    """Result for one crystal."""

    problem: str = ""  # why it cannot be compared, or nothing
    known_as: str | None = None  # label of the first crystal of the first reference set that matches
    elsewhere: str | None = None  # the same in the other sets, for a crystal that the first set lacks


def look_up(
    structures: Sequence[Structure],
    reference: ReferenceSet,
    others: Sequence[ReferenceSet] = (),
    workers: int = 1,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Found]:
    """Compute `Found` for each structure; the result does not depend on the number of processes.

    Args:
        structures: any; one that breaks the matcher has a `problem`.
        reference: the set to be new to.
        others: further sets, asked for crystals that `reference` lacks.
        workers: most processes.
        advance: called with the number of structures just looked up.
    """
    results = [Found()] * len(structures)
    for place, outcome in _answers("look_up", structures, [reference, *others], workers):
        results[place] = outcome.value if outcome.status == "ok" else Found(f"failed:{outcome.status}")
        advance(1)
    return results


def _compare(question: tuple[Structure, int, bool], sets: Sequence[ReferenceSet]) -> tuple[np.ndarray, str, str]:
    """Average minimum distances, label of the same crystal, and if sampled that of its prototype; else empty.

    Args:
        question: a structure, its space group, and whether it is in the sample.
        sets: the training set alone.
    """
    (structure, space_group, sampled), (train,) = question, sets
    distances = distances_of_structure(structure)
    known = train.match(structure) or ""
    if not sampled:
        return distances, known, ""
    return distances, known, known or train.match_prototype(structure, space_group) or ""  # known: its own


def _look_up(structure: Structure, sets: Sequence[ReferenceSet]) -> Found:
    problem = unmatchable(structure)
    if problem:
        return Found(problem)
    label = sets[0].match(structure)
    if label is not None:
        return Found(known_as=label)
    labels = (other.match(structure) for other in sets[1:])
    return Found(elsewhere=next((label for label in labels if label is not None), None))


_QUESTIONS: dict[str, Callable[[Any, Sequence[ReferenceSet]], Any]] = {"compare": _compare, "look_up": _look_up}


def _answers(
    kind: str, questions: Sequence[Any], sets: Sequence[ReferenceSet], workers: int
) -> Iterator[tuple[int, Outcome]]:
    """Answers to questions of one kind with their places, when finished; each process reads the sets once."""
    workers = worthwhile(len(questions), workers)
    if workers <= 1:
        for place, question in enumerate(questions):
            try:
                yield place, Outcome("ok", _QUESTIONS[kind](question, sets))
            except Exception as error:  # noqa: BLE001  (one odd cell must not end the stage; the table has the reason)
                yield place, Outcome(type(error).__name__)
        return
    with TemporaryDirectory() as folder:
        for number, known in enumerate(sets):
            write_units(Path(folder) / f"{number}.npz", known.units)
            if kind == "compare":
                np.save(Path(folder) / f"{number}.npy", known.shape)
        items = [(kind, folder, len(sets), question) for question in questions]
        yield from work("symmcd.metrics.originality:answer", items, workers, SECONDS)


def answer(item: tuple[str, str, int, Any]) -> Any:
    """Answer to a question, in a process of its own.

    Args:
        item: kind of question, folder with the reference sets, their number, and the question.
    """
    kind, folder, number, question = item
    return _QUESTIONS[kind](question, _sets(folder, number))


@functools.cache
def _sets(folder: str, number: int) -> list[ReferenceSet]:
    sets = []
    for i in range(number):
        shape = Path(folder) / f"{i}.npy"
        sets.append(ReferenceSet(read_units(Path(folder) / f"{i}.npz"), np.load(shape) if shape.exists() else None))
    return sets


def _refused(structure: Structure | None) -> str:
    """Reason why a crystal is not given to the matcher, whose Niggli reduction never ends on a flat cell."""
    if structure is None:
        return "unreadable"
    if not structure.is_ordered:
        return "disordered"
    return COMPARED if is_sound(structure.lattice.matrix, structure.frac_coords) else "bad_cell"


def _comparable(structures: Sequence[Structure | None], outcome: np.ndarray) -> list[tuple[int, Structure]]:
    """Crystals that have not been refused so far, with their place."""
    return [(i, s) for i, s in enumerate(structures) if outcome[i] == COMPARED and s is not None]


def _duplicates(
    names: Sequence[str], structures: Sequence[Structure | None], outcome: np.ndarray, duplicate_of: np.ndarray
) -> None:
    """Fill in the first crystal of each kind; only crystals of one composition are compared, as the matcher does.

    In this process: `same_crystals` compares all pairs, and here most crystals of a kind need only one comparison.
    """
    comparable = _comparable(structures, outcome)
    crystals = [structure for _, structure in comparable]
    same = matching(crystals)
    for places in by_composition(crystals):
        try:
            first_of = first_matches(places, same)
        except Exception as error:  # noqa: BLE001  (as above; all crystals of this composition)
            for place in places:
                outcome[comparable[place][0]] = f"failed:{type(error).__name__}"
            continue
        for place, first in first_of.items():
            duplicate_of[comparable[place][0]] = "" if first is None else names[comparable[first][0]]
