"""Stage ``reference``: the energies that the convex hull is made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from symmcd.command import Parser
from symmcd.errors import InputError
from symmcd.extensions import HULL_SOURCES
from symmcd.one_writer import one_writer
from symmcd.settings import HullSettings, path_of

if TYPE_CHECKING:
    from symmcd.stability.hull_sources import HullEntries

EXAMPLE = "results/asymmetric_units/train.npz results/asymmetric_units/val.npz --output results/hull/reference.csv"


def arguments(parser: Parser) -> None:
    """Declare the arguments of the command line."""
    text = "asymmetric units of the reference crystals, npz; needed if a potential computes the hull"
    parser.add_argument("units", type=Path, nargs="*", help=text)
    parser.add_output("formula and energy, csv")
    parser.add_argument(
        "--in-play", type=Path, nargs="+", default=(), metavar="FILE",
        help="tables of `symmcd relax`: compute only reference crystals that can matter for these crystals",
    )  # fmt: skip
    text = "cache of energies (default: hull.cache, or energies.sqlite beside the output)"
    parser.add_argument("--cache", type=Path, metavar="FILE", help=text)
    parser.add_device()
    parser.add_settings("hull")


def run(
    units: Sequence[Path],
    output: Path,
    settings: HullSettings,
    device: str,
    in_play: Sequence[Path] = (),
    cache: Path | None = None,
) -> None:
    """Write the reference energies of `settings.source`.

    ``table``: formation energies of a csv, and the elemental energies that turn a potential's energy into one.
    ``matbench-discovery``: total energies of its computed entries, downloaded to the folder of `output` and verified
    where `settings.path` names no file.
    A potential: its energy of each crystal of `units`, unrelaxed, and of each element.  Cached energies are not
    computed again, so a killed run continues.

    Args:
        units: reference crystals, of which only a potential's hull is made.
        output: csv.
        settings: source and its files.
        device: auto, cuda or cpu.
        in_play: tables of `symmcd relax` with the crystals that are to be judged.  Crystals of `units` that have no
            part in the hull at any of them are then neither computed nor written; the hull there is the same.
        cache: SQLite file of a potential's energies, created if missing; several jobs may share it.  None:
            `settings.cache`, or energies.sqlite beside the output where that is empty.

    Raises:
        InputError: a path that the source needs is missing, a file cannot be used or downloaded, another process writes
            the output, or `in_play` or `cache` is given where nothing is computed.
    """
    from symmcd.stability.hull_entries import write_entries

    if not units and settings.source not in HULL_SOURCES:
        raise InputError(
            f"hull.source = {settings.source}: this hull is computed from crystals; give npz files of asymmetric units"
        )
    useless = [option for option, value in (("--in-play", in_play), ("--cache", cache)) if value]
    if useless and settings.source in HULL_SOURCES:
        raise InputError(
            f"{useless[0]}: hull.source = {settings.source} computes no energies "
            "and uses no crystals; leave this file out"
        )
    with one_writer(output):
        hull = _energies(units, output, settings, device, in_play, cache)
        write_entries(output, hull.name, hull.entries, hull.failed)
    print(
        f"wrote {output} ({len(hull.entries)} energies of the hull {hull.name!r}; {len(hull.failed)} reference "
        "crystals without one)"
    )


def _energies(
    units: Sequence[Path],
    output: Path,
    settings: HullSettings,
    device: str,
    in_play: Sequence[Path],
    cache: Path | None,
) -> HullEntries:
    """See `run`."""
    from symmcd.stability.hull_sources import from_matbench, from_potential, from_table
    from symmcd.stability.in_play import read_systems

    if settings.source == "table":
        for name in ("path", "elemental_references"):
            if not getattr(settings, name):
                raise InputError(f"hull.{name} is empty; hull.source = table needs it (or choose hull.source = chgnet)")
        return from_table(path_of(settings.path), path_of(settings.elemental_references))
    if settings.source == "matbench-discovery":
        return from_matbench(path_of(settings.path) if settings.path else None, settings.url, output.parent)
    systems = read_systems(in_play) if in_play else None
    known = cache or (path_of(settings.cache) if settings.cache else output.with_name("energies.sqlite"))
    return from_potential(settings.source, units, device, known, systems)
