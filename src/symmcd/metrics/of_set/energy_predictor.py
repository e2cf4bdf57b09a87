"""Error of the network that predicts formation energies, without which d_E says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from symmcd.extensions import Metric, Quantity
from symmcd.metrics.rows import Row

if TYPE_CHECKING:
    from symmcd.metrics.set_summary import CrystalSet

METRIC = Metric(
    of="set",
    function="symmcd.metrics.of_set.energy_predictor:rows",
    quantities={
        "formation_energy_error": Quantity(
            "error of the predictor of d_E",
            "Mean absolute error of its formation energies on the test set, eV/atom; Table 5 has that of the paper's.",
            unit="eV/atom",
            protocols=("paper",),
        )
    },
)


def rows(crystals: CrystalSet) -> Iterator[Row]:
    """Yield one row if a predictor was requested, with the reason if there is none."""
    if (asked := crystals.predictor) is not None:
        yield Row("formation_energy_error", "paper", asked.error, asked.low, asked.high, asked.n, asked.note)
