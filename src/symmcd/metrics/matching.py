"""Matching of crystals: those of a set that are the same, by pymatgen's StructureMatcher with its defaults."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from symmcd.structures.checks import is_sound
from symmcd.workers import work

A_PROCESS = 100  # crystals that are worth the start of one more process
SECONDS = 600.0  # limit of all pairs of a composition in another process


def first_matches(items: Iterable[int], same: Callable[[int, int], bool]) -> dict[int, int | None]:
    """The first kept item before each item that it matches; None if there is none, and then the item is kept.

    This is FlowMM's rule: of duplicates the first stays, and what matches only a dropped one stays too (matching is not
    transitive).
    """
    kept: list[int] = []
    match: dict[int, int | None] = {}
    for item in items:
        match[item] = next((other for other in kept if same(other, item)), None)
        if match[item] is None:
            kept.append(item)
    return match


def matching(structures: Sequence[Structure]) -> Callable[[int, int], bool]:
    """Return whether structures i and j match, each pair computed once.

    Pairs of different composition are not compared: the matcher's own first condition.
    """
    matcher = StructureMatcher()
    keys = [composition_key(structure) for structure in structures]
    cells = functools.cache(lambda i: reduced(structures[i]))

    @functools.cache
    def same(i: int, j: int) -> bool:
        return keys[i] == keys[j] and bool(matcher.fit(cells(i), cells(j), skip_structure_reduction=True))

    return same


def reduced(structure: Structure) -> Structure:
    """Primitive Niggli cell, as the matcher makes it of each structure of each pair; made once, matching is faster."""
    return StructureMatcher._get_reduced_structure(structure)  # noqa: SLF001  (the matcher's own, or results would differ)


def same_crystals(structures: Sequence[Structure], workers: int = 1) -> Callable[[int, int], bool]:
    """`matching`, with the pairs of a composition compared beforehand where there are processes for it."""
    workers = worthwhile(len(structures), workers)
    if workers <= 1:
        return matching(structures)
    groups = sorted((places for places in by_composition(structures) if len(places) > 1), key=len, reverse=True)
    matched = set()
    answers = work("symmcd.metrics.matching:pairs", [[structures[i] for i in g] for g in groups], workers, SECONDS)
    late = []
    for number, outcome in answers:
        if outcome.status == "ok":
            matched |= {(groups[number][a], groups[number][b]) for a, b in outcome.value}
        else:
            late += groups[number]
    here, undecided = matching(structures), set(late)  # where a process failed, this one says why
    return lambda i, j: here(i, j) if i in undecided else (min(i, j), max(i, j)) in matched


def pairs(structures: Sequence[Structure]) -> list[tuple[int, int]]:
    """Pairs i < j that match, in a process of its own."""
    same = matching(structures)
    return [(i, j) for j in range(len(structures)) for i in range(j) if same(i, j)]


def worthwhile(crystals: int, workers: int) -> int:
    """Number of worker processes, at most `workers`, that pays for this many crystals."""
    return min(workers, 1 + crystals // A_PROCESS)


def by_composition(structures: Sequence[Structure]) -> list[list[int]]:
    """Places of the structures of each reduced composition: only these can match."""
    places: dict[bytes, list[int]] = defaultdict(list)
    for place, structure in enumerate(structures):
        places[composition_key(structure)].append(place)
    return list(places.values())


def unmatchable(structure: Structure) -> str:
    """Reason why a structure cannot be compared, or nothing: an error of the matcher, or no match with itself."""
    if not is_sound(structure.lattice.matrix, structure.frac_coords):  # the Niggli reduction never ends on a flat cell
        return "bad_cell"
    try:
        return "" if StructureMatcher().fit(structure, structure) else "misses_itself"
    except Exception as error:  # noqa: BLE001  (one broken crystal must not end the stage; the table has the reason)
        return type(error).__name__


def composition_key(structure: Structure) -> bytes:
    """Reduced composition as bytes that can be compared."""
    counts = np.bincount(structure.atomic_numbers, minlength=119)
    return (counts // np.gcd.reduce(counts)).astype(np.uint16).tobytes()
