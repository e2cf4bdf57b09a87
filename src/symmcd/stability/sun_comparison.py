"""Comparison of crystals that may be S.U.N. with known ones and with each other, by pymatgen's StructureMatcher."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pymatgen.core import Structure

from symmcd.metrics.matching import first_matches, same_crystals
from symmcd.metrics.originality import look_up
from symmcd.metrics.reference_set import ReferenceSet


@dataclass(frozen=True)
class Comparison:
    """Outcome of each crystal that was compared, by its id."""

    known_as: Mapping[str, str | None]  # training crystal that it matches after relaxation, None for none
    elsewhere: Mapping[str, str]  # crystal that was not trained on and that it matches, empty for none
    problem: Mapping[str, str]  # why it could not be compared; those are not in `known_as`
    duplicates: Callable[[Sequence[str]], dict[str, str | None]]  # for some: the first earlier one that it matches


def compared(
    structures: Mapping[str, Structure],
    train: ReferenceSet,
    others: Sequence[ReferenceSet],
    workers: int,
    advance: Callable[[int], None],
) -> Comparison:
    """Compare relaxed crystals with the training set, with other known crystals, and with one another.

    Args:
        structures: relaxed crystals by their ids.
        train: the training set.
        others: known crystals that were not trained on.
        workers: processes.
        advance: called with the number of crystals just finished.
    """
    names = list(structures)
    found = dict(zip(names, look_up(list(structures.values()), train, others, workers, advance), strict=True))
    comparable = [name for name in names if not found[name].problem]
    index = {name: i for i, name in enumerate(comparable)}
    same = same_crystals([structures[name] for name in comparable], workers)

    def duplicates(some: Sequence[str]) -> dict[str, str | None]:
        first = first_matches((index[name] for name in some), same)
        return {comparable[i]: None if j is None else comparable[j] for i, j in first.items()}

    return Comparison(
        {name: found[name].known_as for name in comparable},
        {name: found[name].elsewhere or "" for name in names},
        {name: found[name].problem for name in names if found[name].problem},
        duplicates,
    )
