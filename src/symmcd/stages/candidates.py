"""Stage ``candidates``: the stable, unique, novel crystals as a table and symmetrised CIFs, relaxed."""

from __future__ import annotations

from pathlib import Path

from symmcd.command import Parser

EXAMPLE = (
    "results/sun_per_crystal.csv --relaxed results/relaxed/relaxed.extxyz\n"
    "    --output results/candidates.csv --output-cifs results/candidates.zip"
)


def arguments(parser: Parser) -> None:
    """Declare the arguments of the command line."""
    parser.add_argument("per_crystal", type=Path, help="sun_per_crystal.csv of `symmcd sun`")
    text = "extxyz files of `symmcd relax`"
    parser.add_argument("--relaxed", type=Path, nargs="+", required=True, metavar="FILE", help=text)
    parser.add_output("one row for each crystal, those without doubts first, then by energy, csv")
    parser.add_output("one symmetrised CIF for each crystal, zip", what="cifs")


def run(per_crystal: Path, relaxed: list[Path], output: Path, output_cifs: Path) -> None:
    """Write a row and a CIF of each crystal that is S.U.N. at the largest threshold, by the first judge and hull.

    Crystals without doubts come first, then those nearest to (or lowest below) the hull, by the judge that calls them
    least stable.  Where there are several judges, ``e_above_hull_<judge>`` says it of each, ``judges_spread`` how far
    they are apart, and ``sun_by_all`` whether the crystal is S.U.N. by all of them.  Columns: ``space_group`` is
    the one asked for, ``space_group_relaxed`` the one found after relaxation (0.1 Å); ``atoms`` in the primitive cell;
    ``e_above_hull`` and ``energy_per_atom`` in eV/atom, relaxed; ``rms_displacement`` in Å; ``file`` in the
    archive.  CIFs are conventional standard cells, idealised to the symmetry found within 0.1 Å; what cannot be is
    written with all its atoms in P1, and ``detail`` says why.  No such crystal: a header and an empty archive.  Where
    there were several draws, each judged by itself, a crystal that matches one of another draw is left out.

    Args:
        per_crystal: sun_per_crystal.csv of `symmcd sun`.
        relaxed: extxyz files of `symmcd relax`.
        output: csv.
        output_cifs: zip.

    Raises:
        InputError: a file is missing or damaged, or a crystal of the table is not among the relaxed ones.
    """
    from symmcd.stability.candidates import write_candidates

    rows = write_candidates(per_crystal, relaxed, output, output_cifs)
    in_p1 = sum(bool(row["detail"]) for row in rows)
    undoubted = sum(not row["doubts"] for row in rows)
    print(f"wrote {output} ({len(rows)} crystals, {undoubted} of them without doubts)")
    print(f"wrote {output_cifs} ({len(rows)} CIFs{f', {in_p1} of them in P1' if in_p1 else ''})")
