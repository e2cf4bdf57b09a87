"""Which crystals of a set are its own: unlike each other, unlike the training set, unlike it with other elements."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from pymatgen.core import Structure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.metrics.continuous_distance import (
    NEIGHBOURS,
    distances_of_structure,
    distances_of_units,
    diversity,
    nearest,
)
from symmcd.metrics.novelty import Novelty
from symmcd.metrics.prototypes import Prototypes
from symmcd.metrics.uniqueness import composition_key, first_matches, matching
from symmcd.storage import read_units, write_units
from symmcd.structures.checks import is_sound
from symmcd.workers import Outcome, work

COMPARED = "ok"
A_PROCESS = 200  # crystals that are worth the start of one more process
SECONDS = 600.0  # limit of a crystal in another process, then its outcome is ``failed:timed_out``


@dataclass(frozen=True, eq=False)
class Originality:
    """One entry a crystal.  A crystal that cannot be compared is neither unique nor novel, and `outcome` says why."""

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
    train: AsymmetricUnits,
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
        workers: processes that compare with the training set, where there are crystals enough for them.
    """
    number = len(names)
    outcome = np.array([_refused(s) for s in structures], object)
    shape = np.full((number, NEIGHBOURS), np.nan)
    known_as, prototype_of, duplicate_of = (np.full(number, "", object) for _ in range(3))
    sampled = np.zeros(number, bool)
    sampled[np.random.default_rng(seed).choice(number, min(sample, number), replace=False)] = True
    train_shape = distances_of_units(train)
    comparable = _comparable(structures, outcome)
    questions = [(structure, int(space_groups[i]), bool(sampled[i])) for i, structure in comparable]
    advance(number - len(comparable))
    for place, found in _answers(questions, train, train_shape, min(workers, 1 + len(comparable) // A_PROCESS)):
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


class TrainingSet:
    """A training set, made ready to be compared with."""

    def __init__(self, units: AsymmetricUnits, shape: np.ndarray) -> None:
        """`shape` are the `distances_of_units` of `units`."""
        self._novelty, self._prototypes = Novelty(units), Prototypes(units, shape)

    def compare(self, structure: Structure, space_group: int, sampled: bool) -> tuple[np.ndarray, str, str]:
        """Average minimum distances, label of the same crystal, and if `sampled` that of its prototype; else empty."""
        distances = distances_of_structure(structure)
        known = self._novelty.match(structure) or ""
        if not sampled:
            return distances, known, ""
        return distances, known, known or self._prototypes.match(structure, space_group) or ""  # known: its own


Question = tuple[Structure, int, bool]  # arguments of `TrainingSet.compare`


def _answers(
    questions: Sequence[Question], train: AsymmetricUnits, shape: np.ndarray, workers: int
) -> Iterator[tuple[int, Outcome]]:
    """What `TrainingSet.compare` says to each question, with its place, as they come."""
    if workers <= 1:
        here = TrainingSet(train, shape)
        for place, question in enumerate(questions):
            try:
                yield place, Outcome("ok", here.compare(*question))
            except Exception as error:  # noqa: BLE001  (one odd cell must not end the stage; the table has the reason)
                yield place, Outcome(type(error).__name__)
        return
    with TemporaryDirectory() as folder:  # each process reads the training set once
        write_units(Path(folder) / "train.npz", train)
        np.save(Path(folder) / "shape.npy", shape)
        items = [(folder, *question) for question in questions]
        yield from work("symmcd.metrics.originality:answer", items, workers, SECONDS)


def answer(item: tuple[str, Structure, int, bool]) -> tuple[np.ndarray, str, str]:
    """Of `TrainingSet.compare`, in a process of its own; the folder with the training set stands first."""
    return _training_set(item[0]).compare(*item[1:])


@functools.cache
def _training_set(folder: str) -> TrainingSet:
    return TrainingSet(read_units(Path(folder) / "train.npz"), np.load(Path(folder) / "shape.npy"))


def add_originality(table: pd.DataFrame, found: Originality) -> None:
    """Add columns ``comparison, duplicate_of, known_as, prototype, amd_distance`` to the table of crystals."""
    table["comparison"] = found.outcome
    table["duplicate_of"] = found.duplicate_of
    table["known_as"] = found.known_as
    prototype = np.where(found.new_prototype, "new", found.prototype_of)
    table["prototype"] = np.where(found.sampled & found.compared, prototype, "")
    table["amd_distance"] = np.round(found.distance, 6)


def _refused(structure: Structure | None) -> str:
    """Why a crystal is not given to the matcher, whose Niggli reduction never ends on a flat cell."""
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
    """Fill in the first crystal of each kind; only crystals of one composition are compared, as the matcher does."""
    comparable = _comparable(structures, outcome)
    of_composition: dict[bytes, list[int]] = defaultdict(list)
    for place, (_, structure) in enumerate(comparable):
        of_composition[composition_key(structure)].append(place)
    same = matching([structure for _, structure in comparable])
    for places in of_composition.values():
        try:
            found = first_matches(places, same)
        except Exception as error:  # noqa: BLE001  (as above; all crystals of this composition)
            for place in places:
                outcome[comparable[place][0]] = f"failed:{type(error).__name__}"
            continue
        for place, first in found.items():
            duplicate_of[comparable[place][0]] = "" if first is None else names[comparable[first][0]]
