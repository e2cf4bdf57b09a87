"""Stable, unique, novel crystals counted, from the table of all crystals to both tables on the disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from ase import Atoms

from symmcd.crystallography.best_of import BestOf
from symmcd.journal import Progress
from symmcd.metrics.oversampling import cells, with_drafts
from symmcd.metrics.reference_set import ReferenceSet
from symmcd.stability.sun import judged, stable_ones
from symmcd.stability.sun_comparison import compared
from symmcd.storage import atomic_path
from symmcd.structures.convert import from_atoms, to_structure


@dataclass(frozen=True)
class Counting:
    """Definition of stable, and the number of processes that compare crystals."""

    thresholds: Sequence[float] = (0.0, 0.1)  # eV/atom above the hull
    min_elements: int = 2  # fewest elements of a crystal that counts as stable
    workers: int = 1


def count(
    table: pd.DataFrame,
    frames: Mapping[str, Atoms],
    train: ReferenceSet,
    others: Sequence[ReferenceSet],
    how: Counting,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Table of crystals with their flags, and table of rates; see `symmcd.stability.sun.judged`.

    Args:
        table: of `sun_table.crystals_of_hull`.
        frames: relaxed crystals by their ids.
        train: training set.
        others: known crystals that were not trained on.
        how: thresholds and processes.
    """
    names = stable_ones(table, max(how.thresholds), how.min_elements)
    structures = {name: to_structure(from_atoms(frames[name])) for name in names}
    with Progress(len(names), 0, "crystals") as progress:
        found = compared(structures, train, others, how.workers, progress.advance)
    return judged(table, found, how.thresholds, how.min_elements, with_known=bool(others))


def write_counts(
    sun: Path, per_crystal: Path, table: pd.DataFrame, rates: pd.DataFrame, best_of: BestOf | None = None
) -> None:
    """Write what `count` returns as sun_per_crystal.csv and sun.csv, whose rows say how the crystals were chosen."""
    for path, content in ((per_crystal, with_drafts(table, best_of)), (sun, rates.assign(**cells(best_of)))):
        with atomic_path(path) as temporary:
            content.to_csv(temporary, index=False, lineterminator="\n")
