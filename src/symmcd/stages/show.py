"""Stage ``show``: the results of a finished run, on the terminal."""

from __future__ import annotations

from pathlib import Path

from symmcd.report.terminal import terminal_summary


def run(results: Path) -> None:
    """Print the tables of `results` and the path of the report.

    Raises:
        InputError: a table is missing; the message names the stage that makes it.
    """
    print(terminal_summary(results))
    report = results / "report" / "index.html"
    if report.exists():
        print(f"\nreport: {report.resolve()}")
