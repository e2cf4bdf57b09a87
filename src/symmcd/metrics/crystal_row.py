"""The row of one crystal in the table of `symmcd.evaluate`, made in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from symmcd.errors import InputError
from symmcd.extensions import Metric
from symmcd.metrics.crystal_scores import score
from symmcd.structures.cell import Cell
from symmcd.structures.convert import to_structure
from symmcd.structures.symmetry_search import conventional_cell, with_orbits
from symmcd.structures.units import reduce_crystal

WORK = "symmcd.metrics.crystal_row:crystal_row"


@dataclass(frozen=True, eq=False)
class Question:
    """A crystal, and what is to be computed for it."""

    crystal: Cell  # that `check_crystal` has passed
    symprec: float  # Å
    smact_seconds: float  # time limit of the composition test
    with_orbits: bool  # for a fingerprint
    with_unit: bool = False  # for a formation energy
    added: Sequence[tuple[str, Metric]] = ()  # metrics that this process may not have in its registry


def crystal_row(question: Question) -> dict[str, Any]:
    """Values of `crystal_scores.columns` but ``id``, and ``template``; if asked for, ``cell`` and ``unit``.

    ``cell`` is the crystal with its orbits, ``unit`` is the asymmetric unit, where the crystal could be reduced.

    Scores are those of the conventional cell where one is found, so that they do not depend on the cell given.  Atoms
    stay where they are: a cell idealised to `symprec` would have that symmetry at every tolerance.
    """
    crystal, symprec = question.crystal, question.symprec
    row = score(
        to_structure(conventional_cell(crystal, symprec)), None, symprec, question.smact_seconds, question.added
    )
    row["template"] = None
    if row["status"] not in ("bad_cell", "out_of_memory") and not row["status"].startswith("failed"):
        try:
            unit = reduce_crystal(crystal, symprec)
            row["template"] = unit.template
            if question.with_unit:
                row["unit"] = unit
        except InputError as error:
            row["status"] = getattr(error, "reason", "not_reduced")
    if question.with_orbits:
        from symmcd.metrics.fingerprints import SAME_ORBIT  # half a second, where it is not needed

        row["cell"] = with_orbits(crystal, SAME_ORBIT)
    return row
