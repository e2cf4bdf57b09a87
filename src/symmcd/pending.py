"""Arguments of stages that still load what is heavy at their top; each moves beside its stage's ``run``.

Moving one: its example becomes the stage's ``EXAMPLE``, its function the stage's ``arguments``, its line in `PENDING`
goes, and so does what is heavy at the top of the stage's file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from symmcd.command import Parser


def relax(parser: Parser) -> None:
    parser.add_argument("crystals", type=Path, help="units.npz of `symmcd replicate`, or an extxyz of your own")
    parser.add_output("energies and status, one row a crystal, csv", dest="table")
    parser.add_output("relaxed crystals, extxyz", what="crystals", dest="relaxed")
    parser.add_shard()
    parser.add_seed()
    parser.add_device()
    parser.add_settings("relax")


def reference(parser: Parser) -> None:
    parser.add_argument("units", type=Path, nargs="+", help="asymmetric units of the reference crystals, npz")
    parser.add_output("formula and energy, csv")
    parser.add_device()
    parser.add_settings("hull")


def hull(parser: Parser) -> None:
    parser.add_argument("relaxed", type=Path, nargs="+", help="csv files of `symmcd relax`")
    text = "csv of `symmcd reference`"
    parser.add_argument("--reference", type=Path, required=True, metavar="FILE", help=text)
    parser.add_output("one row a crystal, csv")
    parser.add_settings("hull")


UNITS = "results/asymmetric_units"
PENDING: dict[str, tuple[Callable[[Parser], None], str, str]] = {  # arguments, where `run` is, example
    "relax": (
        relax,
        "relax:run",
        "results/crystals/units.npz --output results/relaxed/shard0.csv\n"
        "    --output-crystals results/relaxed/shard0.extxyz --shard 0/8",
    ),
    "reference": (reference, "reference:run", f"{UNITS}/train.npz {UNITS}/val.npz --output results/hull/reference.csv"),
    "hull": (
        hull,
        "hull:run",
        "results/relaxed/shard*.csv --reference results/hull/reference.csv --output results/hull.csv",
    ),
}
