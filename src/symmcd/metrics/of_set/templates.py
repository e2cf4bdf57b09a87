"""Templates: how many, and how many of them the training set has (paper, Table 1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from symmcd.extensions import Metric, Quantity
from symmcd.metrics.intervals import wilson
from symmcd.metrics.rows import Row

if TYPE_CHECKING:
    from symmcd.metrics.set_summary import CrystalSet

TRAIN = frozenset({"train"})

METRIC = Metric(
    of="set",
    function="symmcd.metrics.of_set.templates:rows",
    quantities={
        "templates_unique": Quantity(
            "unique templates",
            "Distinct combinations of space group and occupied Wyckoff positions.",
            protocols=("paper",),
        ),
        "templates_in_train": Quantity(
            "templates in training",
            "Share of the unique templates that training crystals have too.",
            unit="%",
            protocols=("paper",),
            needs=TRAIN,
        ),
        "templates_new": Quantity(
            "new templates", "Unique templates that no training crystal has.", protocols=("paper",), needs=TRAIN
        ),
        "templates_canonical_unique": Quantity(
            "unique templates, canonical",
            "Distinct templates after the choice of origin and axes has been taken out: two descriptions of one"
            " arrangement count once.",
        ),
        "templates_canonical_in_train": Quantity(
            "canonical templates in training",
            "Share of the canonical templates that training crystals have too.",
            unit="%",
            needs=TRAIN,
        ),
        "templates_canonical_new": Quantity(
            "new templates, canonical",
            "Canonical templates that no training crystal has, however it is described.",
            needs=TRAIN,
        ),
    },
)


def rows(crystals: CrystalSet) -> Iterator[Row]:
    """Templates as generated, and with the choice of origin and axes taken out."""
    table, train = crystals.table, crystals.train
    for prefix, protocol, column, note in (
        ("templates", "paper", "template", "different templates"),
        (
            "templates_canonical", "strict", "template_canonical",
            "different templates, whatever the choice of origin and axes",
        ),
    ):  # fmt: skip
        ours = set(table[column].dropna())
        unique = len(ours)
        yield Row(f"{prefix}_unique", protocol, unique, None, None, len(crystals), note)
        if train is None or not unique:
            continue
        known = len(ours & set(train.templates if column == "template" else train.canonical_templates))
        low, high = wilson(known, unique)
        of_them = "% of the unique ones"
        yield Row(f"{prefix}_in_train", protocol, 100 * known / unique, 100 * low, 100 * high, unique, of_them)
        new = "unique and not in the training set"
        yield Row(f"{prefix}_new", protocol, unique - known, None, None, len(crystals), new)
