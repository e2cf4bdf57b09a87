"""Stage ``sun``: energies above the hull and structures → stable, unique, novel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from symmcd.command import Parser
from symmcd.settings import SunSettings

EXAMPLE = (
    "results/hull.csv --crystals results/crystals/units.npz --relaxed results/relaxed/shard*.extxyz\n"
    "    --train results/asymmetric_units/train.npz\n"
    "    --output results/sun.csv --output-per-crystal results/sun_per_crystal.csv"
)


def arguments(parser: Parser) -> None:
    """Declare the arguments of the command line."""
    files: dict[str, Any] = {"type": Path, "metavar": "FILE", "nargs": "+"}
    parser.add_argument("hull", type=Path, help="csv of `symmcd hull`")
    text = "units.npz of `symmcd replicate`, or the extxyz that was relaxed"
    parser.add_argument("--crystals", type=Path, required=True, metavar="FILE", help=text)
    parser.add_argument("--relaxed", required=True, **files, help="extxyz files of `symmcd relax`")
    text = "asymmetric units of the training set, npz"
    parser.add_argument("--train", type=Path, required=True, metavar="FILE", help=text)
    text = "held-out crystals, npz: S.U.N. is also counted without crystals that match them"
    parser.add_argument("--known", action="extend", default=[], **files, help=text)
    text = "csv files of `symmcd score`: S.U.N. is also counted among valid crystals alone"
    parser.add_argument("--scores", default=[], **files, help=text)
    parser.add_output("one row for each protocol, csv")
    parser.add_output("one row for each crystal, csv", what="per-crystal")
    parser.add_workers()
    parser.add_settings("sun")


def run(
    hull: Path,
    crystals: Path,
    relaxed: list[Path],
    train: Path,
    output: Path,
    output_per_crystal: Path,
    settings: SunSettings,
    known: Sequence[Path] = (),
    workers: int = 0,
    scores: Sequence[Path] = (),
) -> None:
    """Write the table of rates and the table of crystals.

    The denominator is every crystal drawn for relaxation, whatever its outcome.  Uniqueness and novelty are those of
    the relaxed structures, by pymatgen's StructureMatcher with its defaults: uniqueness among the stable ones, novelty
    against the training set.  Only crystals that some threshold calls stable are compared (``compared``); of the
    others, and of those that could not be, nothing is said (``novel`` is blank).
    Where hull.csv has the column ``draw``, each draw is judged by itself, uniqueness included, and has rows of its own
    below those of all: there a crystal counts as in its draw, so that a rate of all is the mean of the draws, and
    ``*_sd`` is the standard deviation between them.
    S.U.N. crystals that match one of `known`, asymmetric units that were not trained on, are counted once more without
    those (``sun_elsewhere_new``; ``known_elsewhere`` of a crystal says which).
    Where `scores`, tables of `symmcd score`, say which crystals are valid (structure and composition as generated), so
    does ``valid``, and S.U.N. crystals are counted once more that are (``sun_valid``); and always those that nothing
    makes doubtful (``sun_undoubted``; ``doubts`` of a crystal, joined by semicolons, are those of `stability.doubts`).
    `crystals` is units.npz of `symmcd replicate`, or the extxyz file that was relaxed: elements are counted in it, and
    formulas compared.  Rates of crystals that a stability model chose say so (`metrics.oversampling`).  Crystals are
    compared in `workers` processes, 0 = one per core.

    Raises:
        InputError: a table or file is missing or damaged, or one lacks a crystal that another has.
    """
    from symmcd.metrics.reference_set import ReferenceSet
    from symmcd.stability.sun_run import Counting, count, write_counts
    from symmcd.stability.sun_table import crystals_of_hull, read_valid
    from symmcd.storage import read_units
    from symmcd.structures.crystal_file import read_crystal_file
    from symmcd.structures.frames import frames_by_id
    from symmcd.workers import cores

    frames, given = frames_by_id(relaxed), read_crystal_file(crystals)
    valid = read_valid(scores, given.ids, crystals) if scores else None
    table = crystals_of_hull(hull, crystals, given, relaxed, frames, valid)
    how = Counting(settings.thresholds, settings.min_elements, workers or cores())
    training, *others = (ReferenceSet(read_units(path)) for path in (train, *known))
    table, rates = count(table, frames, training, others, how)
    write_counts(output, output_per_crystal, table, rates, given.best_of)
    print(f"wrote {output_per_crystal} ({table['id'].nunique()} crystals)")
    protocols = int((rates["draw"] == "all").sum()) if "draw" in rates else len(rates)
    of_draws = f", each also of {table['draw'].nunique()} draws" if "draw" in table else ""
    print(f"wrote {output} ({protocols} protocols{of_draws})")
