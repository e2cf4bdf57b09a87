"""Rows of summary.csv."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from symmcd.metrics.intervals import wilson
from symmcd.metrics.oversampling import COLUMNS as OF_CHOICE
from symmcd.writing import atomic_path


@dataclass(frozen=True)
class Row:
    """One number of a set of crystals."""

    metric: str
    protocol: str  # "paper": as the program behind the published figures; "strict"; either with "_floor"
    value: float | None  # None if nothing could be measured
    low: float | None  # 95 % interval
    high: float | None
    n: int  # how many were counted
    note: str


COLUMNS = tuple(field.name for field in fields(Row))


def share(metric: str, protocol: str, flags: Any, note: str, of: str = "all") -> Row:
    """Share in % of flagged crystals, with Wilson's interval.

    Args:
        metric: name of the row.
        protocol: of the row.
        flags: (n,) bool.
        note: what a flag says.
        of: what is counted.
    """
    flags = np.asarray(flags, bool)
    count, total = int(flags.sum()), len(flags)
    low, high = wilson(count, total)
    value = 100 * count / total if total else None
    return Row(metric, protocol, value, 100 * low, 100 * high, total, f"% of {of}; {note}")


def write_summary(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as csv, six significant digits; with the columns of `oversampling` where the rows have them."""
    rows = list(rows)
    columns = [*COLUMNS, *(name for name in OF_CHOICE if rows and name in rows[0])]
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)
