"""Summary of a whole list: how it was made, how many crystals have each verdict, what was found again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from symmcd.crystallography.composition import SYMBOLS
from symmcd.discovery.drafts import Chosen
from symmcd.discovery.hulls import NamedEntries
from symmcd.discovery.known import KnownMaterials
from symmcd.discovery.plan import Plan, only_elements
from symmcd.discovery.table import found_again


def summary(
    plan: Plan,
    rows: Sequence[Mapping[str, Any]],
    hulls: Mapping[str, NamedEntries],
    known: KnownMaterials,
    chosen: Chosen,
) -> dict[str, Any]:
    """Content of summary.json.

    Args:
        plan: of the list.
        rows: of the table.
        hulls: of each judge.
        known: materials that are no news.
        chosen: the drafts.
    """
    system = frozenset(SYMBOLS[number - 1] for number in only_elements(plan.asked()))
    return {
        "command": plan.command(),
        "version": chosen.version,
        "identity": plan.identity(),
        "choice": chosen.sentence,
        "shipped_hull": plan.hull is None,
        "hulls": {judge: named.name for judge, named in hulls.items()},
        "known": known.name,
        "threshold": plan.threshold,
        "keep": list(map(str, plan.filters)),
        "verdicts": dict(Counter(row["verdict"] for row in rows)),
        "found_again": found_again(rows, known, system) if system else None,
    }
