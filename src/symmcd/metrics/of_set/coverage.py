"""Recall and precision of the reference set by two fingerprints (paper, Table 2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from symmcd.extensions import Metric, Quantity
from symmcd.metrics.rows import Row, share

if TYPE_CHECKING:
    from symmcd.metrics.set_summary import CrystalSet

COMPARED = frozenset({"reference", "fingerprints"})

METRIC = Metric(
    of="set",
    function="symmcd.metrics.of_set.coverage:rows",
    quantities={
        "coverage_recall": Quantity(
            "coverage, recall",
            "Test crystals with a generated crystal near them, by a fingerprint of the structure (CrystalNN) and one"
            " of the composition (Magpie).",
            unit="%",
            better="more",
            protocols=("paper", "strict"),
            needs=COMPARED,
        ),
        "coverage_precision": Quantity(
            "coverage, precision",
            "Generated crystals with a test crystal near them, by the same fingerprints.",
            unit="%",
            better="more",
            protocols=("paper", "strict"),
            needs=COMPARED,
        ),
    },
)


def rows(crystals: CrystalSet) -> Iterator[Row]:
    """Nearest structure and nearest composition apart (paper), and one crystal near in both (strict)."""
    table, found = crystals.table, crystals.coverage
    if found is None:
        return
    without = int((table["fingerprint"] != "ok").sum()) if "fingerprint" in table else 0
    misses = f"without fingerprint, counted as misses: {without} of these, {found.missed} of the reference"
    apart = f"nearest structure and nearest composition within the cutoffs; {misses}"
    one = f"one crystal within both cutoffs; {misses}"
    yield share("coverage_recall", "paper", found.recalled, apart, "the reference crystals")
    yield share("coverage_precision", "paper", found.precise, apart)
    yield share("coverage_recall", "strict", found.recalled_strict, one, "the reference crystals")
    yield share("coverage_precision", "strict", found.precise_strict, one)
