"""Stage ``compare``: several runs and the published systems side by side, as a page, Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from symmcd import command

EXAMPLE = "results results-cpu --output comparison.html"


def arguments(parser: command.Parser) -> None:
    """Declare the arguments of the command line."""
    text = "results folders of the chain or of `symmcd evaluate`"
    parser.add_argument("folders", type=Path, nargs="+", metavar="RUNS", help=text)
    parser.add_output("page to write; .md and .tex are written beside it", metavar="HTML")
    text = "names of the runs (default: names of the folders)"
    parser.add_argument("--names", nargs="+", default=[], metavar="NAME", help=text)


def run(folders: Sequence[Path], output: Path, names: Sequence[str] = ()) -> None:
    """Write the page and the same tables as text; see `symmcd.report.comparison_page`.

    Raises:
        InputError: as `write_comparison`.
    """
    from symmcd.report.comparison_page import write_comparison

    for path in write_comparison(output, folders, names):
        print(f"wrote {path} ({len(folders)} runs)")
