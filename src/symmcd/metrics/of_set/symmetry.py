"""Frequency of crystals that have the requested symmetry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from symmcd.extensions import Metric, Quantity
from symmcd.metrics.rows import Row, share

if TYPE_CHECKING:
    from symmcd.metrics.set_summary import CrystalSet

AGREEMENTS = {
    "exact": ("the very group", "The group that was asked for is found, no more and no less."),
    "supergroup": ("more", "More symmetry is found than was asked for: atoms happen to sit on a more special place."),
    "lower": ("less", "Less symmetry is found than was asked for."),
    "other": ("another group", "A group of as many operations, but another one, is found."),
    "none": ("nothing", "spglib gives up, usually because atoms lie on top of each other."),
}

METRIC = Metric(
    of="set",
    function="symmcd.metrics.of_set.symmetry:rows",
    quantities={
        "group_kept": Quantity(
            "symmetry exact", "Every operation of the space group that was asked for holds to 0.001 Å.", unit="%"
        ),
        "group_found": Quantity(
            "symmetry found",
            "spglib finds the very space group that was asked for, at the tolerance of the settings.",
            unit="%",
            protocols=("paper",),
        ),
        **{
            f"agreement{tight}_{kind}": Quantity(f"found{at}: {label}", sentence, unit="%")
            for tight, at in (("", ""), ("_tight", " at 0.01 Å"))
            for kind, (label, sentence) in AGREEMENTS.items()
        },
        "share_p1": Quantity("P1", "spglib finds no symmetry beyond translations.", unit="%", protocols=("paper",)),
    },
)


def rows(crystals: CrystalSet) -> Iterator[Row]:
    """Groups found, beside those asked for where every crystal has one."""
    table = crystals.table
    groups = table["space_group_found"].fillna(0).to_numpy(int)  # 0: none found
    if table["space_group"].notna().all():
        kept = "every operation of the requested group holds to 0.001 Å"
        yield share("group_kept", "strict", table["group_kept"], kept)
        yield share("group_found", "paper", groups == table["space_group"], "spglib finds the requested group")
        for column, tolerance in (("agreement", "symprec"), ("agreement_tight", "0.01 Å")):
            for kind in AGREEMENTS if column in table else ():
                note = f"symmetry found at {tolerance} against the requested group"
                yield share(f"{column}_{kind}", "strict", table[column] == kind, note)
    yield share("share_p1", "paper", groups == 1, "P1 found")
