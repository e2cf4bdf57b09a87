"""Stage ``hull``: energy of each relaxed crystal above the convex hulls, by each judge."""

from __future__ import annotations

from pathlib import Path

from symmcd.command import Parser

EXAMPLE = "results/relaxed/shard*.csv --reference results/hull/reference.csv --output results/hull.csv"


def arguments(parser: Parser) -> None:
    """Declare the arguments of the command line."""
    parser.add_argument("relaxed", type=Path, nargs="+", help="csv files of `symmcd relax` and `symmcd judge`")
    text = "csv files of `symmcd reference`"
    parser.add_argument("--reference", type=Path, nargs="+", required=True, metavar="FILE", help=text)
    parser.add_output("one row for each crystal, judge and hull, csv")
    parser.add_moved("--settings", "it takes none; the hull is in the file of --reference")


def run(relaxed: list[Path], reference: list[Path], output: Path) -> None:
    """Write one row per crystal, judge and hull, in eV/atom, negative below the hull.

    A ``judge`` is the potential whose energy a row has: the one that relaxed the crystals, and those of `symmcd judge`.
    Each is compared with every hull on its scale: its own, and those of DFT energies if its energies are or can be
    corrected.

    `status` is that of the relaxation, or ``no_reference:<elements>`` if the hull lacks an element, or
    ``no_correction`` if MP2020 has no correction for an energy that needs one.  In these cases, and if a crystal has no
    energy, ``e_above_hull_*`` are empty.  Energies are corrected.  ``reference_entries`` counts the entries of the hull
    in the chemical system, without elements and the crystal itself; ``own_reference`` names the entry that is this very
    crystal.

    Raises:
        InputError: an unreadable file, one that lacks a column, or one that was cut; two rows of the same crystal; a
            judge that lacks a crystal or has no hull; a hull that is made of the crystals to be judged, or one whose
            energies are on no judge's scale.
    """
    from symmcd.stability.above_hull import above_hulls, write_above_hulls

    rows = above_hulls(relaxed, reference)
    write_above_hulls(output, rows)
    known = sum(row["e_above_hull_relaxed"] != "" for row in rows)
    print(f"wrote {output} ({len(rows)} rows, {known} with an energy above the hull after relaxation)")
