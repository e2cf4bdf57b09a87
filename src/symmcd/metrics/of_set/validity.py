"""Shares of valid crystals (paper, Table 2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from symmcd.extensions import Metric, Quantity
from symmcd.metrics.rows import Row, share

if TYPE_CHECKING:
    from symmcd.metrics.set_summary import CrystalSet

METRIC = Metric(
    of="set",
    function="symmcd.metrics.of_set.validity:rows",
    quantities={
        "structural_validity": Quantity(
            "structurally valid",
            "No two atoms closer than 0.5 Å, a volume of at least 0.1 Å³ and no cell length above 40 Å.",
            unit="%",
            better="more",
            protocols=("paper", "strict"),
        ),
        "compositional_validity": Quantity(
            "compositionally valid",
            "Common oxidation states of its elements can balance to zero charge (SMACT), or it is an alloy.",
            unit="%",
            better="more",
            protocols=("paper",),
        ),
        "validity": Quantity(
            "valid both ways",
            "Structurally and compositionally valid.",
            unit="%",
            protocols=("paper", "strict"),
        ),
    },
)


def rows(crystals: CrystalSet) -> Iterator[Row]:
    """Structure, composition, and both."""
    table = crystals.table
    close = "no two atoms closer than 0.5 Å, no edge above 40 Å"
    yield share("structural_validity", "paper", table["structurally_valid"], close)
    yield share("structural_validity", "strict", table["structurally_valid_strict"], "own images counted too")
    smact = "SMACT, 2014 oxidation states, Pauling test"
    yield share("compositional_validity", "paper", table["compositionally_valid"], smact)
    yield share("validity", "paper", crystals.valid, "structural and compositional")
    both = table["structurally_valid_strict"].to_numpy(bool) & table["compositionally_valid"].to_numpy(bool)
    yield share("validity", "strict", both, "structural with own images, and compositional")
