"""Stage ``show``: the results of a finished run, on the terminal."""

from __future__ import annotations

from pathlib import Path

from symmcd import command

EXAMPLE = "results"


def arguments(parser: command.Parser) -> None:
    """What the command line takes."""
    parser.add_argument("results", type=Path, help="folder that the chain or `symmcd evaluate` wrote")


def run(results: Path) -> None:
    """Print the tables of `results` and the path of the report.

    Raises:
        InputError: a table is missing; the message names the stage that makes it.
    """
    from symmcd.report.terminal import terminal_summary

    print(terminal_summary(results))
    report = results / "report" / "index.html"
    if report.exists():
        print(f"\nreport: {report.resolve()}")
