"""The results as plain text, for the end of a run."""

from __future__ import annotations

from pathlib import Path

from symmcd.report.explain import METRICS, SUN, published, shown
from symmcd.report.load import SUN_RATES, tables


def terminal_summary(results: Path) -> str:
    """Metrics and stability of a results folder, with n, 95 % intervals and the published values, in columns.

    Raises:
        InputError: metrics/summary.csv or sun.csv is missing; the message names the stage.
    """
    summary, sun = tables(results)
    head = ["", "this run", "95 % interval", "n", "published"]
    rows = [head]
    for _, row in summary.iterrows():
        metric = METRICS.get(row["metric"])
        unit = metric.unit if metric else ""
        label = f"{metric.label if metric else row['metric']} [{row['protocol']}]"
        paper = published(metric) if row["protocol"] == "paper" else ""
        rows.append([label, *shown(row["value"], row["low"], row["high"], unit), f"{int(row['n']):,}", paper])
    for i, (_, row) in enumerate(sun.iterrows()):
        rows.append([""] * len(head))
        rows.append([f"hull {row['hull']}, {row['threshold']:g} eV/atom [{row['protocol']}]", "", "", "", ""])
        for name in SUN_RATES:
            paper = published(SUN[name]) if i == 0 else ""  # the published protocol stands first
            value = shown(row[name], row[f"{name}_low"], row[f"{name}_high"], "%")
            rows.append([f"  {SUN[name].label}", *value, f"{int(row['n']):,}", paper])
    rows.append([""] * len(head))
    rows.append(["published: SymmCD on MP-20, 10,000 crystals; size, data and hull may differ from this run's"])
    return columns(rows)


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
