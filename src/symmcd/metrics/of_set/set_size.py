"""Smallest difference of two shares that a set of this size can show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from symmcd.extensions import Metric, Quantity
from symmcd.metrics.intervals import resolvable
from symmcd.metrics.rows import Row

if TYPE_CHECKING:
    from symmcd.metrics.set_summary import CrystalSet

METRIC = Metric(
    of="set",
    function="symmcd.metrics.of_set.set_size:rows",
    quantities={
        "resolvable_difference": Quantity(
            "smallest difference shown",
            "Two sets of this size with shares near 50 % are told apart from so many points on (95 %, power 80 %).",
            unit="points",
        )
    },
)


def rows(crystals: CrystalSet) -> Iterator[Row]:
    """One row."""
    worst = min(100.0, 100 * resolvable(0.5, len(crystals)))
    note = "% points: two sets of this size with shares near 50 % are told apart (95 %, power 80 %) from here on"
    yield Row("resolvable_difference", "strict", worst, None, None, len(crystals), note)
