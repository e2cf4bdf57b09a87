"""Numbers that others published: published.csv has each as it is printed, with its source."""

from __future__ import annotations

import csv
import functools
from importlib import resources

PUBLICATION = "Levy et al., SymmCD, ICLR 2025, tables 1 to 3 (MP-20, all space groups)"
CRYSTALS, JUDGED, TRAINING_CRYSTALS = 10_000, 1_000, 27_136  # generated; judged for stability; learnt from
HULL = "matbench-discovery"  # that the published stability is measured over, at most 0 eV/atom above it
SYMMCD = frozenset({"SymmCD", "SymmCD (All SGs)", "DimeNet++ (paper)"})  # lines of the paper's own systems


@functools.cache
def systems(table: int) -> dict[str, dict[str, str]]:
    """Values of a table of the paper, as printed, by system and metric, in the order of the paper."""
    text = (resources.files("symmcd.metrics") / "published.csv").read_text(encoding="utf-8")
    by_system: dict[str, dict[str, str]] = {}
    for row in csv.DictReader(text.splitlines()):
        if int(row["table"]) == table:
            by_system.setdefault(row["system"], {})[row["metric"]] = row["value"]
    return by_system


@functools.cache
def of_symmcd(metric: str) -> str:
    """The value of a metric published for SymmCD (of all space groups), as printed; empty if there is none."""
    lines = [values for table in (1, 2, 3, 5) for name, values in systems(table).items() if name in SYMMCD]
    return next((values[metric] for values in lines if metric in values), "")
