"""The results as plain text, for the end of a run."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from symmcd.crystallography.best_of import BestOf
from symmcd.metrics import oversampling
from symmcd.metrics.paper_tables import draw_of, spread_of
from symmcd.metrics.published import CRYSTALS, HULL
from symmcd.report.explain import described
from symmcd.report.load import OPTIONAL_RATES, SUN_RATES, floor_of, read_best_of, read_summary, read_sun
from symmcd.report.values import shown
from symmcd.report.verdicts import OTHER, main_row, of_rate, published, verdict
from symmcd.stability.judge_words import judge_name, kinds_of, several
from symmcd.stability.judges import ALL, OWN, family

WIDTH = 110  # characters of a line of remarks
PROTOCOLS = (
    "d_…: distance between the distributions of generated and of test crystals, less is better",
    "[paper] as Levy et al. computed it; [strict] harder to pass, or less left to chance (docs/evaluation.md);",
    "[…_floor] the same for as many real crystals: a generator can hardly do better",
)
DETAILS = ("agreement_", "resolvable_")  # metrics for the report only


def terminal_summary(results: Path) -> str:
    """Metrics and stability of a results folder, with n, 95 % intervals and the published values, in columns.

    Published values are left out beside crystals that a stability model chose; a note above the figures says so.
    A folder of `symmcd evaluate` has its summary.csv in the folder itself, and stability only if it was judged.

    Raises:
        InputError: metrics/summary.csv or sun.csv is missing; the message names the stage.
    """
    unjudged = (results / "summary.csv").exists() and not (results / "sun.csv").exists()
    summary, sun = read_summary(results), None if unjudged else read_sun(results / "sun.csv")
    best_of, prototypes = read_best_of(results, summary, sun), learnt_from(results) == "prototypes"
    compared = not prototypes and best_of is None  # published values are of MP-20, and nothing was chosen there
    head = ["", "this run", "95 % interval", "n", *(["published", "beside it"] if compared else [])]
    rows = [head, *([] if best_of is None else remarks(best_of, sun))]
    for _, row in summary.iterrows():
        if row["metric"].startswith(DETAILS) or math.isnan(row["value"]):
            continue
        metric = described(row["metric"])
        label = f"{metric.label} [{row['protocol']}]"
        beside = ["", ""]  # the published values were measured by the paper's protocol
        if row["protocol"] == "paper":
            floor = floor_of(summary, row["metric"])
            beside = [published(row["metric"]), verdict(row["metric"], row["low"], row["high"], floor)]
        beside = beside if compared else []
        rows.append([label, *shown(row["value"], row["low"], row["high"], metric.unit), f"{int(row['n']):,}", *beside])
    main = None if sun is None else main_row(sun)
    for block in [] if sun is None else blocks(sun):
        rows.append([""] * len(head))
        rows.append([_heading(block, of_judges=several(sun))])
        rows += _rates(block, sun, main, compared=compared)
    rows.append([""] * len(head))
    rows += [[line] for line in PROTOCOLS]
    if sun is None:
        rows.append(["stability was not judged: `symmcd evaluate --relax` does it"])
    if prototypes:
        rows.append(["embedded prototypes: nothing published to compare with; more metrics and figures in the report"])
    if not compared:
        return columns(rows if rows[-1] != [""] * len(head) else rows[:-1])
    rows.append([f"published: SymmCD on MP-20, {CRYSTALS:,} crystals; size, data and hull may differ from this run's"])
    rows.append(
        ["beside it: whether the 95 % interval leaves the published value out, which comes without an interval"]
    )
    if main is not None and main["threshold"] == 0 and main["hull"] != HULL:
        rows.append([f"{OTHER}: published rates are over that of {HULL}, and not judged beside these"])
    return columns(rows)


def remarks(best_of: BestOf, sun: Any) -> list[list[str]]:
    """Lines to print above the figures of crystals that a stability model chose.

    Args:
        best_of: how they were chosen.
        sun: as `read_sun` reads it; None if there is none.
    """
    judges = [] if sun is None else [judge for judge in dict.fromkeys(sun["judge"]) if judge != ALL]
    said = (oversampling.sentence(best_of), oversampling.NOTHING_PUBLISHED, oversampling.of_judges(best_of, judges))
    return [[line] for text in said for line in textwrap.wrap(text, WIDTH)]


def blocks(sun: Any) -> list[Any]:
    """Rows of sun.csv that stand in one block: those of all judges over hulls of one kind, at one threshold.

    Of several judges, single draws are shown of the first, and of all together.
    """
    first = sun["judge"].iloc[0]
    if several(sun) and "draw" in sun:
        sun = sun[(sun["draw"] == "all") | sun["judge"].isin([first, ALL])]
    keys = list(zip(kinds_of(sun), sun["threshold"], sun["draw"] if "draw" in sun else [""] * len(sun), strict=True))
    return [sun[[key == own for own in keys]] for key in dict.fromkeys(keys)]


def _heading(block: Any, *, of_judges: bool) -> str:
    row = block.iloc[0]
    hull = "own hulls" if of_judges and family(row["judge"], row["hull"]) == OWN else f"hull {row['hull']}"
    return f"{hull}, {row['threshold']:g} eV/atom [{row['protocol']}]{draw_of(row)}"


def _rates(block: Any, sun: Any, main: Any, *, compared: bool) -> Iterator[list[str]]:
    """Lines of a block, the judges of a rate one below the other."""
    judges = several(sun)
    for name in (*SUN_RATES, *(name for name in OPTIONAL_RATES if name in sun)):
        for place, row in block.iterrows():
            if judges and not _is_shown(name, row, first=sun["judge"].iloc[0]):
                continue
            beside = list(of_rate(name, row)) if place == main.name else ["", ""]
            spread = spread_of(row, name)
            label = f"  {described(name).label}" + (f" (sd of draws {spread})" if spread else "")
            label += f", {judge_name(row['judge'])}" if judges else ""
            values = shown(row[name], row[f"{name}_low"], row[f"{name}_high"], "%")
            yield [label, *values, f"{int(row['n']):,}", *(beside if compared else [])]


def _is_shown(name: str, row: Any, first: str) -> bool:
    """Return whether a rate has a line if there are several judges: few rates of a single draw, others where known.

    Those of `OPTIONAL_RATES` have one of the first judge and of all together.
    """
    if row.get("draw", "all") != "all":
        return name in ("relaxed_stable", "sun")
    return math.isfinite(row[name]) and (name in SUN_RATES or row["judge"] in (first, ALL))


def learnt_from(results: Path) -> str:
    """Source of the crystals of a run, as its configuration named it; nothing where raw/source.json is not there."""
    path = results / "raw/source.json"
    return str(json.loads(path.read_text(encoding="utf-8")).get("source", "")) if path.is_file() else ""


def columns(rows: list[list[str]]) -> str:
    """Rows in aligned columns, the first to the left, the others to the right; a row of one cell is a remark."""
    widths = [max(map(len, column)) for column in zip(*(row for row in rows if len(row) > 1), strict=True)]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=False))]
        )
        for row in rows
    ]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([lines[0].rstrip(), rule, *(line.rstrip() for line in lines[1:])])
