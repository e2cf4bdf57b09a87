"""Stage ``reference``: the energies that the convex hull is made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from symmcd.command import Parser
from symmcd.errors import InputError
from symmcd.extensions import HULL_SOURCES
from symmcd.settings import HullSettings, path_of

EXAMPLE = "results/asymmetric_units/train.npz results/asymmetric_units/val.npz --output results/hull/reference.csv"


def arguments(parser: Parser) -> None:
    """What the command line takes."""
    parser.add_argument("units", type=Path, nargs="+", help="asymmetric units of the reference crystals, npz")
    parser.add_output("formula and energy, csv")
    parser.add_argument(
        "--in-play", type=Path, nargs="+", default=(), metavar="FILE",
        help="tables of `symmcd relax`: compute only what has a part in the hull at a crystal of theirs",
    )  # fmt: skip
    parser.add_device()
    parser.add_settings("hull")


def run(units: Sequence[Path], output: Path, settings: HullSettings, device: str, in_play: Sequence[Path] = ()) -> None:
    """Write the reference energies of `settings.source`.

    ``table``: formation energies of a csv, and the elemental energies that turn a potential's energy into one.
    ``matbench-discovery``: total energies of its computed entries, downloaded to the folder of `output` and verified
    where `settings.path` names no file.
    A potential: its energy of each crystal of `units` as it is, and of each element; resumed after a kill.

    Args:
        units: reference crystals, of which only a potential's hull is made.
        output: csv.
        settings: source and its files.
        device: auto, cuda or cpu.
        in_play: tables of `symmcd relax` with the crystals that are to be judged.  Crystals of `units` that have no
            part in the hull at any of them are then neither computed nor written; the hull there is the same.

    Raises:
        InputError: a path that the source needs is missing, a file cannot be used or downloaded, or `in_play` is given
            where nothing is computed.
    """
    from symmcd.stability.hull_entries import write_entries
    from symmcd.stability.hull_sources import from_matbench, from_potential, from_table
    from symmcd.stability.in_play import read_systems

    if in_play and settings.source in HULL_SOURCES:
        raise InputError(
            f"--in-play: hull.source = {settings.source} computes nothing, so that all of its energies are written; "
            "leave it out"
        )
    if settings.source == "table":
        for name in ("path", "elemental_references"):
            if not getattr(settings, name):
                raise InputError(f"hull.{name} is empty; hull.source = table needs it (or choose hull.source = chgnet)")
        hull = from_table(path_of(settings.path), path_of(settings.elemental_references))
    elif settings.source == "matbench-discovery":
        hull = from_matbench(path_of(settings.path) if settings.path else None, settings.url, output.parent)
    else:
        hull = from_potential(settings.source, units, output, device, read_systems(in_play) if in_play else None)
    write_entries(output, hull.name, hull.entries, hull.failed)
    if hull.journal is not None:
        hull.journal.remove()
    print(
        f"wrote {output} ({len(hull.entries)} energies of the hull {hull.name!r}; {len(hull.failed)} reference "
        "crystals without one)"
    )
