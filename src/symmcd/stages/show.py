"""Print the tables of results that a run ended with."""

from __future__ import annotations

import csv
from pathlib import Path

from symmcd.errors import InputError

TABLES = (("Metrics", "metrics/summary.csv"), ("Stable, unique, novel", "sun.csv"))


def run(results: Path) -> None:
    """Print each table of `results` in columns, and the path of the report.

    Raises:
        InputError: a table is missing.
    """
    for title, name in TABLES:
        path = results / name
        try:
            with path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.reader(file))
        except OSError as error:
            raise InputError(f"{path}: cannot read it ({error.strerror}); run the chain first") from None
        print(f"\n{title} ({path})\n{columns(rows)}")
    report = results / "report" / "index.html"
    print(f"\nreport: {report.resolve()}" if report.exists() else "\nno report yet")


def columns(rows: list[list[str]]) -> str:
    """Rows of text in aligned columns; numbers are shortened to four digits."""
    short = [[_short(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*short, strict=True)] if short else []
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in short)


def _short(cell: str) -> str:
    try:
        return cell if cell.lstrip("-").isdecimal() else f"{float(cell):.4g}"
    except ValueError:
        return cell
