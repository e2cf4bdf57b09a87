"""Metrics of a whole set of crystals, with sample size and 95 % interval (paper, Tables 1 and 2).

Protocol ``paper``: as the program behind the paper's figures.  Protocol ``strict``: self-images counted, every crystal
in every row, one tolerance for both sides of a comparison, groups 229 and 230 apart, one crystal near in both
fingerprints.
"""

from __future__ import annotations

import csv
import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.content import densities, number_of_elements
from symmcd.crystallography.normaliser import canonical_template
from symmcd.metrics.coverage import Coverage
from symmcd.metrics.distributions import wasserstein
from symmcd.metrics.intervals import FLOOR, Z, bootstrap, resolvable, wilson
from symmcd.metrics.originality import Originality
from symmcd.metrics.symmetry import group_distance
from symmcd.metrics.templates import count_templates
from symmcd.storage import atomic_path

COLUMNS = ("metric", "protocol", "value", "low", "high", "n", "note")
DRAWS = 50  # of random crystals whose distances are averaged
AGREEMENTS = ("exact", "supergroup", "lower", "other", "none")


@dataclass(frozen=True, eq=False)
class Reference:
    """What the distributions of a set are compared with."""

    density: np.ndarray  # (B,) g/cm³
    elements: np.ndarray  # (B,) different elements
    space_group: np.ndarray  # (B,)
    formation_energy: np.ndarray | None = None  # (B,) eV/atom, predicted like the set's; nan where it could not be

    @classmethod
    def of(cls, units: AsymmetricUnits, formation_energy: np.ndarray | None = None) -> Reference:
        """Of reduced crystals; their groups were found at the tolerance of the reduction."""
        return cls(densities(units), number_of_elements(units), units.space_group, formation_energy)


@dataclass
class _Rows:
    """Rows of summary.csv as they are made."""

    total: int
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, metric: str, protocol: str, value: Any, low: Any, high: Any, n: int, note: str) -> None:
        self.rows.append(dict(zip(COLUMNS, (metric, protocol, value, low, high, n, note), strict=True)))

    def share(self, metric: str, protocol: str, flags: Any, note: str, of: str = "all") -> None:
        """Share in % of the crystals flagged, with Wilson's interval."""
        flags = np.asarray(flags, bool)
        count, total = int(flags.sum()), len(flags)
        low, high = wilson(count, total)
        value = 100 * count / total if total else None
        self.add(metric, protocol, value, 100 * low, 100 * high, total, f"% of {of}; {note}")


def summarise_set(
    table: pd.DataFrame,
    train_templates: Sequence[str] | None,
    reference: Reference | None,
    sample: int,
    seed: int,
    coverage: Coverage | None = None,
    originality: Originality | None = None,
) -> list[dict[str, Any]]:
    """Rows of summary.csv.

    Args:
        table: one row a crystal, columns of `crystal_scores.COLUMNS`, ``template``, and ``fingerprint`` (outcome) where
            there are fingerprints, and ``formation_energy`` (eV/atom, predicted) where the reference has it.
        train_templates: of the training set; without them Table 1's comparison is left out.
        reference: without it distances are left out.
        sample: crystals of the paper's distribution metrics.
        seed: of that draw and of the bootstrap.
        coverage: of the reference set; without it recall and precision are left out.
        originality: beside the training set; without it uniqueness and novelty are left out.
    """
    rows = _Rows(len(table))
    valid = table["valid"].to_numpy(bool)
    if "fingerprint" in table:  # the authors' program calls a crystal without fingerprint invalid
        valid = valid & (table["fingerprint"] == "ok").to_numpy()
    _validity(rows, table, valid)
    _symmetry(rows, table)
    _templates(rows, table["template"].dropna().tolist(), train_templates)
    if coverage is not None:
        _coverage(rows, coverage, table)
    if reference is not None:
        _distributions(rows, table, valid, reference, sample, seed)
    if originality is not None:
        _originality(rows, originality, valid, seed)
    worst = min(100.0, 100 * resolvable(0.5, rows.total))
    note = "% points: two sets of this size with shares near 50 % are told apart (95 %, power 80 %) from here on"
    rows.add("resolvable_difference", "strict", worst, None, None, rows.total, note)
    return rows.rows


def _validity(rows: _Rows, table: pd.DataFrame, valid: np.ndarray) -> None:
    close = "no two atoms closer than 0.5 Å, no edge above 40 Å"
    rows.share("structural_validity", "paper", table["structurally_valid"], close)
    rows.share("structural_validity", "strict", table["structurally_valid_strict"], "own images counted too")
    smact = "SMACT, 2014 oxidation states, Pauling test"
    rows.share("compositional_validity", "paper", table["compositionally_valid"], smact)
    rows.share("validity", "paper", valid, "structural and compositional")
    both = table["structurally_valid_strict"].to_numpy(bool) & table["compositionally_valid"].to_numpy(bool)
    rows.share("validity", "strict", both, "structural with own images, and compositional")


def _symmetry(rows: _Rows, table: pd.DataFrame) -> None:
    groups = table["space_group_found"].fillna(0).to_numpy(int)  # 0: none found
    if table["space_group"].notna().all():
        kept = "every operation of the requested group holds to 0.001 Å"
        rows.share("group_kept", "strict", table["group_kept"], kept)
        rows.share("group_found", "paper", groups == table["space_group"], "spglib finds the requested group")
        for column, tolerance in (("agreement", "symprec"), ("agreement_tight", "0.01 Å")):
            for kind in AGREEMENTS if column in table else ():
                note = f"symmetry found at {tolerance} against the requested group"
                rows.share(f"{column}_{kind}", "strict", table[column] == kind, note)
    rows.share("share_p1", "paper", groups == 1, "P1 found")


def _templates(rows: _Rows, found: list[str], train: Sequence[str] | None) -> None:
    canonical = functools.cache(canonical_template)
    for prefix, protocol, name, note in (
        ("templates", "paper", str, "different templates"),
        ("templates_canonical", "strict", canonical, "different templates, whatever the choice of origin and axes"),
    ):
        ours = [name(template) for template in found]
        unique = len(set(ours))
        rows.add(f"{prefix}_unique", protocol, unique, None, None, rows.total, note)
        if train is None or not unique:
            continue
        counts = count_templates(ours, [name(template) for template in set(train)])
        low, high = wilson(counts.in_train, counts.unique)
        share = 100 * counts.in_train / counts.unique
        rows.add(f"{prefix}_in_train", protocol, share, 100 * low, 100 * high, counts.unique, "% of the unique ones")
        new = "unique and not in the training set"
        rows.add(f"{prefix}_new", protocol, counts.new, None, None, rows.total, new)


def _coverage(rows: _Rows, found: Coverage, table: pd.DataFrame) -> None:
    without = int((table["fingerprint"] != "ok").sum()) if "fingerprint" in table else 0
    misses = f"without fingerprint, counted as misses: {without} of these, {found.missed} of the reference"
    apart = f"nearest structure and nearest composition within the cutoffs; {misses}"
    one = f"one crystal within both cutoffs; {misses}"
    rows.share("coverage_recall", "paper", found.recalled, apart, "the reference crystals")
    rows.share("coverage_precision", "paper", found.precise, apart)
    rows.share("coverage_recall", "strict", found.recalled_strict, one, "the reference crystals")
    rows.share("coverage_precision", "strict", found.precise_strict, one)


def _originality(rows: _Rows, found: Originality, valid: np.ndarray, seed: int) -> None:
    refused = int((~found.compared).sum())
    note = f"pymatgen's StructureMatcher; not compared, counted as neither unique nor novel: {refused}"
    for metric, flags in (
        ("uniqueness", found.unique),
        ("novelty", found.novel),
        ("unique_novelty", found.unique & found.novel),
    ):
        rows.share(metric, "strict", flags, note)
        rows.share(f"{metric}_valid", "strict", flags[valid], note, of="the valid")
    note = "same space group and anonymous formula, matched under any exchange of elements; of a random sample"
    of_sample, of_valid = found.sampled, found.sampled & valid
    if of_sample.any():
        rows.share("prototype_novelty", "strict", found.new_prototype[of_sample], note, of="the sample")
        rows.share("prototype_novelty_valid", "strict", found.new_prototype[of_valid], note, of="its valid crystals")
    distance = found.distance[np.isfinite(found.distance)]
    low, high = bootstrap(np.mean, distance, seed)
    mean = float(distance.mean()) if len(distance) else None
    note = "Å, average minimum distances, k = 100, Chebyshev"
    rows.add("amd_novelty", "strict", mean, low, high, len(distance), f"{note}; to the nearest training crystal")
    rows.add("amd_diversity", "strict", found.diversity, None, None, len(distance), f"{note}; between two of the set")


def _distributions(
    rows: _Rows, table: pd.DataFrame, valid: np.ndarray, reference: Reference, sample: int, seed: int
) -> None:
    groups = table["space_group_found"].fillna(0).to_numpy(int)
    density, elements = table["density"].to_numpy(float), table["elements"].fillna(0).to_numpy(int)
    there = np.ones(len(table), bool)
    scored = np.flatnonzero(table["density"].notna())  # all but those that could not be read
    draws, of = random_draws(np.flatnonzero(valid), sample, seed)
    of_valid = f"mean of {len(draws)} draws of" if len(draws) > 1 else ""
    for protocol, sets, share, told in (
        ("paper", draws, of, f"{of_valid} random valid crystals".strip()),
        ("strict", [scored], 1.0, "all crystals"),
    ):
        group = functools.partial(group_distance, merge_last=protocol == "paper")
        measures: list[tuple[str, np.ndarray, np.ndarray, np.ndarray, Callable[[Any, Any], float], str]] = [
            ("density_wasserstein", density, there, reference.density, wasserstein, told),
            ("element_count_wasserstein", elements, there, reference.elements, wasserstein, told),
            ("space_group_jsd", groups, groups > 0, reference.space_group, group, told),
        ]
        if reference.formation_energy is not None:
            energy = table["formation_energy"].to_numpy(float)
            known, theirs = np.isfinite(energy), reference.formation_energy[np.isfinite(reference.formation_energy)]
            missing = f"{told}, eV/atom, predicted; {(~known[sets[0]]).sum()} without prediction left out"
            measures.append(("formation_energy_wasserstein", energy, known, theirs, wasserstein, missing))
        for metric, values, usable, theirs, distance, note_of_it in measures:
            ours = [values[chosen[usable[chosen]]] for chosen in sets]
            _distance_row(rows, metric, protocol, ours, share, theirs, distance, seed, note_of_it)


def random_draws(candidates: np.ndarray, sample: int, seed: int, number: int = DRAWS) -> tuple[list[np.ndarray], float]:
    """Draws of `sample` of the candidates, sorted, and what share of these each is.

    The published distances are those of one draw; densities and energies have long tails, and of two draws of the same
    10,000 crystals one may be three times as far as the other.  So there are many where they are mostly of different
    crystals, and one where at least half of the candidates would be in each.
    """
    rng, share = np.random.default_rng(seed), min(1.0, sample / max(len(candidates), 1))
    number = number if share <= 0.5 else 1
    size = min(sample, len(candidates))
    return [np.sort(rng.choice(candidates, size, replace=False)) for _ in range(number)], share


def write_summary(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as csv, six significant digits."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)


def _distance_row(
    rows: _Rows,
    metric: str,
    protocol: str,
    ours: Sequence[np.ndarray],
    share: float,
    theirs: np.ndarray,
    distance: Callable[[Any, Any], float],
    seed: int,
    note: str,
) -> None:
    """Of one set of crystals with its bootstrap interval; of several draws the mean, and where one of them may lie."""
    first = ours[0]
    if not len(first):
        rows.add(metric, protocol, None, None, None, 0, f"no crystal to measure ({note})")
        return
    if len(ours) > 1:
        found = np.array([distance(values, theirs) for values in ours])
        value, spread = float(found.mean()), float(found.std(ddof=1))
        half = Z * spread / math.sqrt(1 - share)  # as of crystals drawn from the model, not from these
        low, high = max(0.0, value - half), value + half
    else:
        value = distance(first, theirs)
        low, high = bootstrap(lambda values: distance(values, theirs), first, seed)
    note = f"{note}, against {len(theirs)} reference crystals"
    rows.add(metric, protocol, value, low, high, len(first), note)
    floor = _floor(distance, theirs, len(first), seed)
    low, high = np.percentile(floor, (2.5, 97.5))
    note = f"as many drawn from the reference itself, {len(floor)} times: mean and middle 95 %"
    rows.add(metric, f"{protocol}{FLOOR}", floor.mean(), low, high, len(first), note)


def _floor(
    distance: Callable[[Any, Any], float], reference: np.ndarray, number: int, seed: int, draws: int = 50
) -> np.ndarray:
    """(draws,) distances of `number` crystals drawn from the reference itself: what a perfect model would get."""
    rng = np.random.default_rng(seed)
    return np.array([distance(rng.choice(reference, number), reference) for _ in range(draws)])
