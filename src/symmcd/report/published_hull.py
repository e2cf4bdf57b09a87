"""Which row of sun.csv stands beside the published rates, and what may be said of it."""

from __future__ import annotations

from typing import Any

from symmcd.report.explain import Metric, published, verdict

PUBLISHED_HULL = "matbench-discovery"  # the published rates are of at most 0 eV/atom above this one
OTHER = "other hull"


def main_row(sun: Any) -> Any:
    """The row that the published rates are compared with: threshold 0, the published hull where it is among several.

    Where no row has threshold 0, the first one.
    """
    rows = sun[sun["threshold"] == 0]
    theirs = rows[rows["hull"] == PUBLISHED_HULL]
    return next(part.iloc[0] for part in (theirs, rows, sun) if len(part))


def told(metric: Metric, row: Any, low: float, high: float) -> tuple[str, str]:
    """The published value of a rate, and better or worse; that only over the same hull.  Empty at other thresholds."""
    if row["threshold"] != 0 or not metric.paper:
        return "", ""
    return published(metric), verdict(metric, low, high) if row["hull"] == PUBLISHED_HULL else OTHER
