"""Stage ``report``: a finished results folder → one page, its figures beside it, and the table on the terminal."""

from __future__ import annotations

from pathlib import Path

from symmcd import command
from symmcd.settings import RelaxSettings, ReportSettings

EXAMPLE = "results --output results/report"


def arguments(parser: command.Parser) -> None:
    """Declare the arguments of the command line."""
    parser.add_argument("results", type=Path, help="results folder of the chain")
    parser.add_output("folder for index.html and figures/", metavar="DIR")
    text = "leave Table 5 out, for a run without it (predictor.variants: []); a table there is from an earlier run"
    parser.add_argument("--no-table-5", action="store_false", dest="table_5", help=text)
    parser.add_seed()
    parser.add_settings("report", shown=("relax",))


def run(
    results: Path,
    output: Path,
    settings: ReportSettings,
    seed: int,
    *,
    table_5: bool = True,
    relax: RelaxSettings | None = None,
) -> None:
    """Write ``index.html`` and ``figures/`` into `output`, and print the table of results.

    Args:
        results: folder that the chain wrote.
        output: usually ``results/report``.
        settings: title, and how many crystals to draw.
        seed: of the training whose losses are shown, and of the choice of the drawn crystals.
        table_5: False where this run has no Table 5: one of an earlier run that lies in `results` is not shown.
        relax: settings of the relaxation, for the page, where they are known.

    Raises:
        InputError: a file is missing or cannot be used; the message names the stage that writes it.
    """
    from symmcd.report.load import load, read_table_5
    from symmcd.report.results_page import Choice, write_pages
    from symmcd.report.terminal import terminal_summary

    finished = load(results, seed)
    pages = write_pages(
        finished,
        output,
        settings.title,
        Choice(settings.drawn_crystals, settings.viewer_crystals, seed),
        predictors=read_table_5(results) if table_5 else None,
        relaxation="" if relax is None else _relaxation(relax),
    )
    print(terminal_summary(results))
    print()
    for page, number in pages.items():
        print(f"wrote {page} ({number} crystals)")


def _relaxation(settings: RelaxSettings) -> str:
    return f"{settings.method}, at most {settings.steps:,} steps, until forces are below {settings.fmax:g} eV/Å"
