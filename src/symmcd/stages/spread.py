"""Stage ``spread``: how much the numbers of runs vary that differ in their seeds alone."""

from __future__ import annotations

from pathlib import Path

from symmcd.command import Parser

EXAMPLE = "results/seed0 results/seed1 results/seed2 --output results/seeds.csv"


def arguments(parser: Parser) -> None:
    """Declare the arguments of the command line."""
    parser.add_argument("runs", type=Path, nargs="+", help="results folders of runs with different seeds")
    parser.add_output("one row for each number: mean, standard deviation, lowest, highest, value of each run, csv")


def run(runs: list[Path], output: Path) -> None:
    """Write one row per number of metrics/summary.csv and sun.csv; see `symmcd.report.spread.spread`.

    Raises:
        InputError: two folders of one name, or a table that is missing or damaged.
    """
    from symmcd.report.spread import spread, write_spread

    rows = spread(runs)
    write_spread(output, rows)
    print(f"wrote {output} ({len(rows)} numbers of {len(runs)} runs)")
