"""The results as plain text, for the end of a run."""

from __future__ import annotations

from pathlib import Path

from symmcd.report.explain import METRICS, SUN, number, published, span
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
        rows.append(
            [
                label,
                number(row["value"], unit),
                span(row["low"], row["high"], unit),
                f"{int(row['n']):,}",
                published(metric),
            ]
        )
    for i, (_, row) in enumerate(sun.iterrows()):
        rows.append([""] * len(head))
        rows.append([f"hull {row['hull']}, {row['threshold']:g} eV/atom [{row['protocol']}]", "", "", "", ""])
        for name in SUN_RATES:
            paper = published(SUN[name]) if i == 0 else ""  # the published protocol stands first
            interval = span(row[f"{name}_low"], row[f"{name}_high"], "%")
            rows.append([f"  {SUN[name].label}", number(row[name], "%"), interval, f"{int(row['n']):,}", paper])
    return (
        columns(rows)
        + "\n\npublished: SymmCD on MP-20, 10,000 crystals; sizes, data and hull may differ from this run's"
    )


def columns(rows: list[list[str]]) -> str:
    """Rows in aligned columns, the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([lines[0].rstrip(), rule, *(line.rstrip() for line in lines[1:])])
