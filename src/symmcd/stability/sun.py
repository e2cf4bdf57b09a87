"""Stable, unique, novel: flags of each crystal and rates with intervals (paper, Table 3; FlowMM's protocol)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from symmcd.metrics.intervals import wilson

RATES = ("initially_stable", "relaxed_stable", "stable_unique", "stable_novel", "sun")


def stable(e_above_hull: np.ndarray, elements: np.ndarray, threshold: float, min_elements: int) -> np.ndarray:
    """Whether each crystal is at most `threshold` eV/atom above the hull.

    Unknown energies (nan: failed relaxation, no reference) and crystals of fewer than `min_elements` are not stable.
    """
    with np.errstate(invalid="ignore"):
        return (e_above_hull <= threshold) & (elements >= min_elements)


def rate_columns(flags: dict[str, np.ndarray], total: int) -> dict[str, Any]:
    """Percentages of `total` with their 95 % Wilson intervals, as ``<rate>``, ``<rate>_low``, ``<rate>_high``."""
    columns: dict[str, Any] = {}
    for name in RATES:
        count = int(flags[name].sum())
        low, high = wilson(count, total)
        columns |= {name: round(100 * count / total, 3), f"{name}_low": round(100 * low, 3), f"{name}_high": round(100 * high, 3)}
    return columns


def sun_rows(table: pd.DataFrame, thresholds: Sequence[float], min_elements: int) -> list[dict[str, Any]]:
    """One row for each hull and threshold.

    Args:
        table: one row per crystal and hull: ``hull, status, elements, e_above_hull_initial, e_above_hull_relaxed`` and the
            flags ``unique`` (no earlier crystal of the table matches) and ``novel``, of the relaxed structures.
        thresholds: eV/atom.
        min_elements: see `stable`.

    A crystal is S.U.N. if it is stable after relaxation, novel, and the first of those that are stable and match it;
    ``unique_at_<threshold>`` carries the last of these.
    """
    rows = []
    for hull, part in table.groupby("hull", sort=False):
        elements = part["elements"].to_numpy(int)
        for threshold in thresholds:
            relaxed = stable(part["e_above_hull_relaxed"].to_numpy(float), elements, threshold, min_elements)
            unique, novel = part[f"unique_at_{threshold:g}"].to_numpy(bool), part["novel"].to_numpy(bool)
            flags = {
                "initially_stable": stable(part["e_above_hull_initial"].to_numpy(float), elements, threshold, min_elements),
                "relaxed_stable": relaxed,
                "stable_unique": relaxed & unique,
                "stable_novel": relaxed & novel,
                "sun": relaxed & unique & novel,
            }
            rows.append(
                {
                    "protocol": "paper" if threshold == 0 else "metastable",
                    "hull": hull,
                    "threshold": threshold,
                    "n": len(part),
                    "n_with_energy": int(part["e_above_hull_relaxed"].notna().sum()),
                    **rate_columns(flags, len(part)),
                }
            )
    return rows
