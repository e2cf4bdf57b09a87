"""Stage ``summarise``: scored shards → one table of crystals, and metrics of the whole set with 95 % intervals."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.errors import InputError
from symmcd.metrics.distributions import densities, element_counts, wasserstein
from symmcd.metrics.intervals import bootstrap, wilson
from symmcd.metrics.symmetry import group_distance
from symmcd.metrics.templates import count_templates, templates
from symmcd.settings import ScoreSettings
from symmcd.storage import atomic_path, read_units

SUMMARY_COLUMNS = ("metric", "protocol", "value", "low", "high", "n", "note")


def run(
    shards: list[Path], units: Path, train: Path, reference: Path, output_dir: Path, settings: ScoreSettings, seed: int
) -> None:
    """Write per_crystal.csv (all shards, with templates) and summary.csv.

    Raises:
        InputError: a shard is missing, or the shards are not those of `units`.
    """
    generated, trained, held_out = read_units(units), read_units(train), read_units(reference)
    table = read_shards(shards)
    if sorted(table["id"]) != sorted(generated.label.tolist()):
        raise InputError(f"{len(table)} scored crystals do not match the {len(generated)} of {units}; run `symmcd score` again")
    table = table.set_index("id").loc[generated.label].reset_index()
    table["template"] = templates(generated)
    table["template_in_train"] = np.isin(table["template"], templates(trained))
    with atomic_path(output_dir / "per_crystal.csv") as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    rows = summary(table, generated, trained, held_out, settings.distribution_sample, seed)
    with atomic_path(output_dir / "summary.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, SUMMARY_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    print(f"wrote {output_dir / 'per_crystal.csv'} ({len(table)} crystals)")
    print(f"wrote {output_dir / 'summary.csv'} ({len(rows)} metrics)")


def read_shards(paths: list[Path]) -> pd.DataFrame:
    """All rows of the shards' tables.

    Raises:
        InputError: a file is missing or is no such table.
    """
    parts = []
    for path in paths:
        try:
            parts.append(pd.read_csv(path, dtype={"id": str, "formula": str}, keep_default_na=False, na_values=[""]))
        except (OSError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            raise InputError(f"{path}: not a readable table ({error}); run `symmcd score` again") from None
    return pd.concat(parts, ignore_index=True)


def summary(
    table: pd.DataFrame, generated: AsymmetricUnits, train: AsymmetricUnits, reference: AsymmetricUnits, sample: int, seed: int
) -> list[dict[str, Any]]:
    """Rows of summary.csv.

    Protocol ``paper``: self-images not counted, distributions over at most `sample` random valid crystals.
    Protocol ``strict``: self-images counted, distributions over every crystal.
    """
    rows = []
    total = len(table)

    def share(metric: str, protocol: str, flags: Any, note: str) -> None:
        count = int(np.sum(np.asarray(flags, bool)))
        low, high = wilson(count, total)
        rows.append(_row(metric, protocol, 100 * count / total, 100 * low, 100 * high, total, f"% of all; {note}"))

    share("structural_validity", "paper", table["structurally_valid"], "no two atoms closer than 0.5 Å")
    share("structural_validity", "strict", table["structurally_valid_strict"], "own images counted too")
    share("compositional_validity", "paper", table["compositionally_valid"], "SMACT, 2014 oxidation states, Pauling test")
    share("validity", "paper", table["valid"], "structural and compositional")
    share("group_kept", "strict", table["group_kept"], "every operation of the requested group holds to 0.001 Å")
    share("group_found", "paper", table["space_group_found"] == table["space_group"], "spglib finds the requested group at 0.1 Å")
    share("share_p1", "paper", table["space_group_found"] == 1, "P1 found at 0.1 Å")

    counts = count_templates(table["template"].tolist(), templates(train))
    low, high = wilson(counts.in_train, counts.unique)
    rows.append(_row("templates_unique", "paper", counts.unique, None, None, total, "different templates"))
    shared = 100 * counts.in_train / counts.unique
    rows.append(_row("templates_in_train", "paper", shared, 100 * low, 100 * high, counts.unique, "% of the unique ones"))
    rows.append(_row("templates_new", "paper", counts.new, None, None, total, "unique and not in the training set"))

    rng = np.random.default_rng(seed)
    valid = np.flatnonzero(table["valid"].to_numpy(bool))
    drawn = np.sort(rng.choice(valid, min(sample, len(valid)), replace=False))
    groups = table["space_group_found"].fillna(0).to_numpy(int)
    for protocol, chosen, note in (("paper", drawn, "random valid crystals"), ("strict", np.arange(total), "all crystals")):
        known = chosen[groups[chosen] > 0]
        for metric, ours, theirs, distance in (
            ("density_wasserstein", densities(generated)[chosen], densities(reference), wasserstein),
            ("element_count_wasserstein", element_counts(generated)[chosen], element_counts(reference), wasserstein),
            ("space_group_jsd", groups[known], reference.space_group, group_distance),
        ):
            rows.append(_distance_row(metric, protocol, ours, theirs, distance, seed, note))
    return rows


def _distance_row(
    metric: str, protocol: str, ours: np.ndarray, theirs: np.ndarray, distance: Callable[[Any, Any], float], seed: int, note: str
) -> dict[str, Any]:
    if not len(ours):
        return _row(metric, protocol, None, None, None, 0, f"no crystal to measure ({note})")
    low, high = bootstrap(lambda values: distance(values, theirs), ours, seed)
    return _row(metric, protocol, distance(ours, theirs), low, high, len(ours), f"{note}, against {len(theirs)} test crystals")


def _row(metric: str, protocol: str, value: Any, low: Any, high: Any, n: int, note: str) -> dict[str, Any]:
    return {"metric": metric, "protocol": protocol, "value": value, "low": low, "high": high, "n": n, "note": note}
