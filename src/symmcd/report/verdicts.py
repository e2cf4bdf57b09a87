"""Published value of a metric, and the position of a run's interval relative to it."""

from __future__ import annotations

import math
from typing import Any

from symmcd.metrics.published import HULL, of_symmcd
from symmcd.report.explain import known

OTHER = "other hull"


def published(name: str) -> str:
    """The value published for SymmCD, with the digits that the paper gives: ``94.32 %``, ``2,794``; empty: none."""
    text, metric = of_symmcd(name), known(name)
    if text.isdigit():
        text = f"{int(text):,}"
    return f"{text} %" if text and metric is not None and metric.unit == "%" else text


def verdict(name: str, low: float, high: float, floor: float = math.nan) -> str:
    """Compare an interval with the published value: ``better``, ``worse``, ``no difference shown`` if it straddles.

    Empty where there is no published value, no interval, or where more is not plainly better or worse.

    Args:
        name: of the metric.
        low: of the interval.
        high: of the interval.
        floor: least that as many real crystals score (2.5 % point); below it nothing was measured on so few.
    """
    text, metric = of_symmcd(name), known(name)
    if metric is None or not (text and metric.better and math.isfinite(low) and math.isfinite(high)):
        return ""
    value = float(text)
    if value < floor:
        return "published is below real crystals"
    if low <= value <= high:
        return "no difference shown"
    return "better" if (low > value) == (metric.better == "more") else "worse"


def main_row(sun: Any) -> Any:
    """The row of sun.csv that the published rates are compared with: threshold 0, the published hull if it is there.

    It is one of the first judge's, which relaxed the crystals.  Where no row has threshold 0, the first one.
    """
    sun = sun[sun["judge"] == sun["judge"].iloc[0]]
    rows = sun[sun["threshold"] == 0]
    theirs = rows[rows["hull"] == HULL]
    return next(part.iloc[0] for part in (theirs, rows, sun) if len(part))


def of_rate(name: str, row: Any) -> tuple[str, str]:
    """The published value of a rate in a row of sun.csv, and better or worse; that only over the same hull.

    Empty at another threshold than 0.
    """
    if row["threshold"] != 0 or not of_symmcd(name):
        return "", ""
    return published(name), verdict(name, row[f"{name}_low"], row[f"{name}_high"]) if row["hull"] == HULL else OTHER
