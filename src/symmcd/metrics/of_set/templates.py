"""Templates: how many, and how many of them the training set has (paper, Table 1)."""

from __future__ import annotations

import functools
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
    from symmcd.crystallography.normaliser import canonical_template
    from symmcd.metrics.templates import count_templates

    found = crystals.table["template"].dropna().tolist()
    canonical = functools.cache(canonical_template)
    for prefix, protocol, name, note in (
        ("templates", "paper", str, "different templates"),
        ("templates_canonical", "strict", canonical, "different templates, whatever the choice of origin and axes"),
    ):
        ours = [name(template) for template in found]
        unique = len(set(ours))
        yield Row(f"{prefix}_unique", protocol, unique, None, None, len(crystals), note)
        if crystals.train is None or not unique:
            continue
        counts = count_templates(ours, [name(template) for template in set(crystals.train.templates)])
        low, high = wilson(counts.in_train, counts.unique)
        share = 100 * counts.in_train / counts.unique
        yield Row(f"{prefix}_in_train", protocol, share, 100 * low, 100 * high, counts.unique, "% of the unique ones")
        new = "unique and not in the training set"
        yield Row(f"{prefix}_new", protocol, counts.new, None, None, len(crystals), new)
