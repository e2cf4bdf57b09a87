"""Evaluation of a set of crystals from any source: from one row per crystal to the summary and the paper's tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pymatgen.core import Structure

from symmcd.crystallography.best_of import BestOf
from symmcd.crystallography.normaliser import canonical_template
from symmcd.journal import Progress
from symmcd.metrics.coverage import COMPOSITION_CUTOFF, STRUCTURE_CUTOFF, add_coverage, coverage
from symmcd.metrics.fingerprints import Fingerprints
from symmcd.metrics.originality import add_originality, originality
from symmcd.metrics.oversampling import with_drafts
from symmcd.metrics.paper_tables import write_tables
from symmcd.metrics.reference_set import ReferenceSet
from symmcd.metrics.rows import write_summary
from symmcd.metrics.set_summary import CrystalSet, Predicted, summarise_set
from symmcd.writing import atomic_path


@dataclass(frozen=True)
class Options:
    """Options for the comparison of a set."""

    sample: int = 1000  # crystals of the paper's distribution metrics
    prototype_sample: int = 500  # random crystals whose prototypes are looked up
    structure_cutoff: float = STRUCTURE_CUTOFF
    composition_cutoff: float = COMPOSITION_CUTOFF
    seed: int = 0  # seed of random samples and of the bootstrap
    workers: int = 1  # processes that compare with the training set


@dataclass(frozen=True, eq=False)
class Stability:
    """Results of relaxation and hulls for a set: tables as `symmcd sun`, `hull` and `candidates` write them."""

    sun: pd.DataFrame  # rates of stable, unique, novel crystals: one row per protocol, judge and hull
    sun_per_crystal: pd.DataFrame  # one row per crystal, judge and hull
    energies: pd.DataFrame  # the same rows with energies alone, eV/atom
    candidates: pd.DataFrame  # the stable, unique and novel crystals
    files: Mapping[str, bytes] = field(repr=False)  # content of all that is to be written, by path


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One row per crystal, and metrics of the set (``metric, protocol, value, low, high, n, note``)."""

    table: pd.DataFrame
    rows: Sequence[dict[str, Any]]
    stability: Stability | None = None  # where crystals were relaxed

    @property
    def sun(self) -> pd.DataFrame | None:
        """Rates of stable, unique and novel crystals in per cent; None if no crystals were relaxed."""
        return None if self.stability is None else self.stability.sun

    @property
    def sun_per_crystal(self) -> pd.DataFrame | None:
        """Each crystal with its energies above the hulls, and whether it is stable, unique and novel."""
        return None if self.stability is None else self.stability.sun_per_crystal

    @property
    def energies(self) -> pd.DataFrame | None:
        """Energies of each crystal by each judge over each hull, eV/atom."""
        return None if self.stability is None else self.stability.energies

    @property
    def candidates(self) -> pd.DataFrame | None:
        """The stable, unique and novel crystals, those without doubts first."""
        return None if self.stability is None else self.stability.candidates

    @property
    def summary(self) -> pd.DataFrame:
        """Metrics of the set as a table."""
        return pd.DataFrame(self.rows)

    def write(self, folder: Path) -> list[Path]:
        """Write per_crystal.csv, per_crystal.parquet, summary.csv, tables 1 and 2; their paths.

        Where crystals were relaxed, also Table 3 and the files behind it.
        """
        csv, parquet, summary = (folder / name for name in ("per_crystal.csv", "per_crystal.parquet", "summary.csv"))
        with atomic_path(csv) as temporary:
            self.table.to_csv(temporary, index=False, lineterminator="\n")
        with atomic_path(parquet) as temporary:
            self.table.to_parquet(temporary, index=False)
        write_summary(summary, self.rows)
        written = [csv, parquet, summary, *write_tables(folder, self.rows)]
        for name, content in self.stability.files.items() if self.stability is not None else ():
            with atomic_path(folder / name) as temporary:
                temporary.write_bytes(content)
            written.append(folder / name)
        return written


def evaluate_set(
    table: pd.DataFrame,
    structures: Sequence[Structure | None],
    train: ReferenceSet | None,
    reference: ReferenceSet | None,
    fingerprints: tuple[Fingerprints, Fingerprints] | None,
    predictor: Predicted | None,
    options: Options,
    best_of: BestOf | None = None,
) -> Evaluation:
    """Compare a set of crystals with a training set and a reference set; columns are added to `table`.

    Args:
        table: one row per crystal: `crystal_scores.columns`, and ``template``, None if there is none.
        structures: of each row; None for a crystal that cannot be compared with others.  Needed with `train` only.
        train: training set; without it there are no novelty and no known templates.
        reference: held-out set; without it there are no distances.
        fingerprints: of the crystals, and of the reference; without them there is no coverage.
        predictor: formation energies of both sets; without it there is no d_E.
        options: sample sizes, cutoffs, seed, processes.
        best_of: how the crystals were chosen, if they were; noted in every row.
    """
    if train is not None:
        known = np.isin(table["template"].fillna("").to_numpy(str), train.templates)
        table["template_in_train"] = known
        if table["template"].isna().any():
            table["template_in_train"] = table["template_in_train"].astype("boolean").mask(table["template"].isna())
    table["template_canonical"] = [None if pd.isna(t) else canonical_template(t) for t in table["template"]]
    covered = own = None
    if reference is not None and fingerprints is not None:
        scale = (reference if train is None else train).scale
        covered = coverage(*fingerprints, scale, options.structure_cutoff, options.composition_cutoff)
        add_coverage(table, fingerprints[0], covered)
    if train is not None:
        names, groups = table["id"].tolist(), table["space_group_found"].fillna(0).astype(int).tolist()
        sample, seed, workers = options.prototype_sample, options.seed, options.workers
        with Progress(len(table), 0, "crystals compared with the training set") as progress:
            own = originality(names, structures, groups, train, sample, seed, progress.advance, workers)
        add_originality(table, own)
    if predictor is not None and predictor.energies is not None:
        table["formation_energy"] = predictor.energies[0]
    table = with_drafts(table, best_of)
    crystals = CrystalSet(table, options.sample, options.seed, train, reference, covered, own, predictor, best_of)
    return Evaluation(table, summarise_set(crystals))
