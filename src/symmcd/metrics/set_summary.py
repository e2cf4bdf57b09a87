"""Metrics of a whole set of crystals, with sample size and 95 % interval (paper, Tables 1 and 2)."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.metrics.distributions import densities, element_counts, wasserstein
from symmcd.metrics.intervals import bootstrap, wilson
from symmcd.metrics.symmetry import group_distance
from symmcd.metrics.templates import count_templates
from symmcd.storage import atomic_path

COLUMNS = ("metric", "protocol", "value", "low", "high", "n", "note")


@dataclass(frozen=True, eq=False)
class Reference:
    """What the distributions of a set are compared with."""

    density: np.ndarray  # (B,) g/cm³
    elements: np.ndarray  # (B,) different elements
    space_group: np.ndarray  # (B,)

    @classmethod
    def of(cls, units: AsymmetricUnits) -> Reference:
        """Of reduced crystals; their groups were found at the tolerance of the reduction."""
        return cls(densities(units), element_counts(units), units.space_group)


def summarise_set(
    table: pd.DataFrame, train_templates: Sequence[str] | None, reference: Reference | None, sample: int, seed: int
) -> list[dict[str, Any]]:
    """Rows of summary.csv.

    Protocol ``paper``: self-images not counted, distributions over at most `sample` random valid crystals.
    Protocol ``strict``: self-images counted, distributions over every crystal.

    Args:
        table: one row a crystal, columns of `crystal_scores.COLUMNS`, and ``template``.
        train_templates: of the training set; without them Table 1's comparison is left out.
        reference: without it distances are left out.
        sample: crystals of the paper's distribution metrics.
        seed: of that draw and of the bootstrap.
    """
    rows = []
    total = len(table)
    groups = table["space_group_found"].fillna(0).to_numpy(int)  # 0: none found

    def share(metric: str, protocol: str, flags: Any, note: str) -> None:
        count = int(np.sum(np.asarray(flags, bool)))
        low, high = wilson(count, total)
        rows.append(_row(metric, protocol, 100 * count / total, 100 * low, 100 * high, total, f"% of all; {note}"))

    close = "no two atoms closer than 0.5 Å, no edge above 40 Å"
    share("structural_validity", "paper", table["structurally_valid"], close)
    share("structural_validity", "strict", table["structurally_valid_strict"], "own images counted too")
    smact = "SMACT, 2014 oxidation states, Pauling test"
    share("compositional_validity", "paper", table["compositionally_valid"], smact)
    share("validity", "paper", table["valid"], "structural and compositional")
    if table["space_group"].notna().all():
        share("group_kept", "strict", table["group_kept"], "every operation of the requested group holds to 0.001 Å")
        share("group_found", "paper", groups == table["space_group"], "spglib finds the requested group")
    share("share_p1", "paper", groups == 1, "P1 found")

    found = table["template"].dropna().tolist()
    unique = len(set(found))
    rows.append(_row("templates_unique", "paper", unique, None, None, total, "different templates"))
    if train_templates is not None and unique:
        counts = count_templates(found, list(train_templates))
        low, high = wilson(counts.in_train, counts.unique)
        shared = 100 * counts.in_train / counts.unique
        share_note = "% of the unique ones"
        rows.append(_row("templates_in_train", "paper", shared, 100 * low, 100 * high, counts.unique, share_note))
        rows.append(_row("templates_new", "paper", counts.new, None, None, total, "unique and not in the training set"))
    if reference is None:
        return rows

    rng = np.random.default_rng(seed)
    valid = np.flatnonzero(table["valid"].to_numpy(bool))
    drawn = np.sort(rng.choice(valid, min(sample, len(valid)), replace=False))
    density, elements = table["density"].to_numpy(float), table["elements"].fillna(0).to_numpy(int)
    scored = np.flatnonzero(table["density"].notna())  # all but those that could not be read
    for protocol, chosen, note in (("paper", drawn, "random valid crystals"), ("strict", scored, "all crystals")):
        known = chosen[groups[chosen] > 0]
        for metric, ours, theirs, distance in (
            ("density_wasserstein", density[chosen], reference.density, wasserstein),
            ("element_count_wasserstein", elements[chosen], reference.elements, wasserstein),
            ("space_group_jsd", groups[known], reference.space_group, group_distance),
        ):
            rows.append(_distance_row(metric, protocol, ours, theirs, distance, seed, note))
    return rows


def write_summary(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as csv, six significant digits."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)


def _distance_row(
    metric: str,
    protocol: str,
    ours: np.ndarray,
    theirs: np.ndarray,
    distance: Callable[[Any, Any], float],
    seed: int,
    note: str,
) -> dict[str, Any]:
    if not len(ours):
        return _row(metric, protocol, None, None, None, 0, f"no crystal to measure ({note})")
    low, high = bootstrap(lambda values: distance(values, theirs), ours, seed)
    floor = _floor(distance, theirs, len(ours), seed)
    note = f"{note}, against {len(theirs)} reference crystals; as many drawn from the reference: {floor:.4g}"
    return _row(metric, protocol, distance(ours, theirs), low, high, len(ours), note)


def _floor(
    distance: Callable[[Any, Any], float], reference: np.ndarray, number: int, seed: int, draws: int = 50
) -> float:
    """Mean distance of `number` crystals drawn from the reference itself: what a perfect model would get."""
    rng = np.random.default_rng(seed)
    return float(np.mean([distance(rng.choice(reference, number), reference) for _ in range(draws)]))


def _row(metric: str, protocol: str, value: Any, low: Any, high: Any, n: int, note: str) -> dict[str, Any]:
    return {"metric": metric, "protocol": protocol, "value": value, "low": low, "high": high, "n": n, "note": note}
