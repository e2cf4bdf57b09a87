"""Stage ``show``: what a folder that one of our commands wrote holds, on the terminal."""

from __future__ import annotations

from pathlib import Path

from symmcd import command

EXAMPLE = "results"


def arguments(parser: command.Parser) -> None:
    """Declare the arguments of the command line."""
    text = "output folder of the chain, `generate`, `predict`, `relax`, `evaluate`, `discover` or `export`"
    parser.add_argument("results", type=Path, help=text)


def run(results: Path) -> None:
    """Print what `results` holds, and the path of the report if there is one.

    Raises:
        InputError: nothing of ours, or a table that is missing or damaged; the message names the command that makes it.
    """
    from symmcd.report.folder_summary import folder_summary

    print(folder_summary(results))
    report = results / "report" / "index.html"
    if report.exists():
        print(f"\nreport: {report.resolve()}")
