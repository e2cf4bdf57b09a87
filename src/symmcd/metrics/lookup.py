"""Crystals looked up in reference sets and compared with each other, in as many processes as they are worth."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pymatgen.core import Structure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.metrics.novelty import Novelty
from symmcd.metrics.uniqueness import composition_key, matching, unmatchable
from symmcd.storage import read_units, write_units
from symmcd.workers import Outcome, work

A_PROCESS = 100  # crystals that are worth the start of one more process
SECONDS = 600.0  # limit of an item in another process


@dataclass(frozen=True)
class Found:
    """What is known of one crystal."""

    problem: str = ""  # why it cannot be compared, or nothing
    known_as: str | None = None  # label of the first crystal of the first reference set that matches
    elsewhere: str | None = None  # of a crystal that the first set lacks, the same of the other sets


def look_up(
    structures: Sequence[Structure],
    reference: AsymmetricUnits,
    others: Sequence[AsymmetricUnits] = (),
    workers: int = 1,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Found]:
    """What `Found` says of each structure; the same whatever the number of processes.

    Args:
        structures: any; one that breaks the matcher has a `problem`.
        reference: the set to be new to.
        others: further sets, asked for crystals that `reference` lacks.
        workers: most processes.
        advance: called with the number of structures just looked up.
    """
    found = [Found()] * len(structures)
    with TemporaryDirectory() as folder:
        workers = _worthwhile(len(structures), workers)
        if workers > 1:  # each process reads the sets once
            for number, units in enumerate((reference, *others)):
                write_units(Path(folder) / f"{number}.npz", units)
            items = [(folder, 1 + len(others), structure) for structure in structures]
            answers = work("symmcd.metrics.lookup:looked_up", items, workers, SECONDS)
        else:
            answers = _one_by_one(structures, [Novelty(units) for units in (reference, *others)])
        for place, outcome in answers:
            found[place] = outcome.value if outcome.status == "ok" else Found(f"failed:{outcome.status}")
            advance(1)
    return found


def same_crystals(structures: Sequence[Structure], workers: int = 1) -> Callable[[int, int], bool]:
    """`uniqueness.matching`, with the pairs of a composition compared beforehand where there are processes for it."""
    workers = _worthwhile(len(structures), workers)
    if workers <= 1:
        return matching(structures)
    of_composition: dict[bytes, list[int]] = defaultdict(list)
    for place, structure in enumerate(structures):
        of_composition[composition_key(structure)].append(place)
    groups = sorted((places for places in of_composition.values() if len(places) > 1), key=len, reverse=True)
    matched = set()
    answers = work("symmcd.metrics.lookup:pairs", [[structures[i] for i in g] for g in groups], workers, SECONDS)
    late = []
    for number, outcome in answers:
        if outcome.status == "ok":
            matched |= {(groups[number][a], groups[number][b]) for a, b in outcome.value}
        else:
            late += groups[number]
    here, undecided = matching(structures), set(late)  # where a process failed, this one says why
    return lambda i, j: here(i, j) if i in undecided else (min(i, j), max(i, j)) in matched


def looked_up(item: tuple[str, int, Structure]) -> Found:
    """`Found` of a structure, in a process of its own; folder and number of the reference sets stand first."""
    return _found(item[2], _sets(item[0], item[1]))


def pairs(structures: Sequence[Structure]) -> list[tuple[int, int]]:
    """Pairs i < j that match, in a process of its own."""
    same = matching(structures)
    return [(i, j) for j in range(len(structures)) for i in range(j) if same(i, j)]


def _found(structure: Structure, sets: Sequence[Novelty]) -> Found:
    problem = unmatchable(structure)
    if problem:
        return Found(problem)
    label = sets[0].match(structure)
    if label is not None:
        return Found(known_as=label)
    labels = (novelty.match(structure) for novelty in sets[1:])
    return Found(elsewhere=next((label for label in labels if label is not None), None))


def _one_by_one(structures: Sequence[Structure], sets: Sequence[Novelty]) -> Iterator[tuple[int, Outcome]]:
    for place, structure in enumerate(structures):
        yield place, Outcome("ok", _found(structure, sets))


@functools.cache
def _sets(folder: str, number: int) -> list[Novelty]:
    return [Novelty(read_units(Path(folder) / f"{i}.npz")) for i in range(number)]


def _worthwhile(crystals: int, workers: int) -> int:
    return min(workers, 1 + crystals // A_PROCESS)
