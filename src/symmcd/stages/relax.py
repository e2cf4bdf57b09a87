"""Stage ``relax``: generated crystals → energies before and after relaxation, a status per crystal; `symmcd.relax`."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symmcd.command import Parser
from symmcd.errors import InputError
from symmcd.settings import RelaxSettings, read_section
from symmcd.threads import let_threads_sleep

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import IStructure

    from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
    from symmcd.stability.outcome import Relaxation

EXAMPLE = (
    "results/crystals/units.npz --output results/relaxed/shard0.csv\n"
    "    --output-crystals results/relaxed/shard0.extxyz --shard 0/8"
)


def arguments(parser: Parser) -> None:
    """Declare the arguments of the command line."""
    parser.add_argument("crystals", type=Path, help="units.npz of `symmcd replicate`, or an extxyz file of your own")
    parser.add_output("energies and status, one row for each crystal, csv")
    parser.add_output("relaxed crystals, extxyz", what="crystals")
    parser.add_shard()
    parser.add_seed()
    parser.add_device()
    parser.add_settings("relax")


Crystals = Iterable["IStructure | Atoms | AsymmetricUnit"] | Mapping[str, "IStructure | Atoms | AsymmetricUnit"]


def relax(
    crystals: Crystals | AsymmetricUnits | AsymmetricUnit | IStructure | Atoms | Path | str,
    device: str = "auto",
    **settings: Any,
) -> list[Relaxation]:
    """Relax crystals as ``symmcd relax`` does: of each its status, energies in eV/atom and the relaxed structure.

    Energies are those that the potential gives, without the corrections that ``symmcd hull`` adds to SevenNet's.

    Args:
        crystals: pymatgen structures, ASE's atoms or asymmetric units, by name if a mapping, or one of them; or the
            path of a units.npz or an extxyz file.
        device: auto, cuda or cpu.
        settings: of the section `relax` (``symmcd settings relax``), such as ``method="symmetry"``, ``steps=100``.

    Raises:
        InputError: something that is no crystal, or no such setting.
    """
    if drawn := {"number", "draws"} & settings.keys():
        raise InputError(f"relax({min(drawn)}=…): all crystals that are given are relaxed; leave it out")
    how: RelaxSettings = read_section("relax", settings)
    let_threads_sleep()  # before anything that loads torch
    from symmcd.device import choose_device
    from symmcd.stability.outcome import Limits
    from symmcd.stability.relax_set import relaxed_crystals
    from symmcd.structures.crystal_file import crystals_of

    given = crystals_of(crystals)
    done = relaxed_crystals(
        given, list(range(len(given.ids))), potential=how.potential, method=how.method, limits=Limits(**how.limits()),
        batch_size=how.batch_size, device=choose_device(device).type,
    )  # fmt: skip
    return [result for _, result in sorted(done, key=lambda pair: pair[0])]


def run(
    crystals: Path,
    output: Path,
    output_crystals: Path,
    shard: int,
    shards: int,
    settings: RelaxSettings,
    seed: int,
    device: str,
) -> None:
    """Relax this shard's part of `settings.number` crystals drawn with `seed`; write their table and structures.

    Every finished crystal goes to ``OUTPUT.partial`` at once, from which a killed run continues.  The table has a row
    for each crystal drawn, with the number drawn for all shards as ``drawn``, so that a lost row is noticed.
    `output_crystals` has the crystals with a relaxed structure, in their primitive cells.  With several
    `settings.draws` the column ``draw`` is the number of a crystal's draw, from 1; shards cut across draws.  The column
    ``potential`` is present if it is not CHGNet.  If energies can be corrected, ``correction_initial`` and
    ``correction_relaxed`` (MP2020, eV/atom, empty if there is none) are present; the energies do not include them.

    Args:
        crystals: units.npz of `symmcd replicate`, which has exact coordinates and Wyckoff positions; or any extxyz
            file, for which ``relax.method: symmetry`` keeps the symmetry found within 0.1 Å.
        output: the table, csv.
        output_crystals: extxyz.
        shard: from 0.
        shards: how many there are.
        settings: how many crystals, and how they are relaxed.
        seed: of the draw.
        device: auto, cuda or cpu.

    Raises:
        InputError: unreadable crystals, too few for the draws, a space group that is none, or an output that cannot be
            written.
    """
    from symmcd.device import choose_device, hold_gpu
    from symmcd.journal import Journal
    from symmcd.stability.outcome import Limits
    from symmcd.stability.relax_run import Method, relax_rest, write_relaxed
    from symmcd.stability.relax_set import draw
    from symmcd.structures.crystal_file import read_crystal_file

    given = read_crystal_file(crystals)
    draw_of = draw(len(given.ids), settings.number, settings.draws, seed)
    method = Method(settings.potential, settings.method, Limits(**settings.limits()), settings.batch_size)
    how = dataclasses.asdict(settings)
    if settings.draws == 1:
        del how["draws"]  # journals from before there were several go on
    if settings.potential == "chgnet":
        del how["potential"]  # as do those from before there were others
    else:
        how["potential"] = method.identity()
    work = {
        "crystals": hashlib.sha256(crystals.read_bytes()).hexdigest(),
        "settings": how,
        "seed": seed,
        "shard": [shard, shards],
    }
    hold_gpu(device)
    journal = Journal(output, work)
    relax_rest(given, sorted(draw_of)[shard::shards], method, choose_device(device).type, journal)
    number = {given.ids[index]: which for index, which in draw_of.items()}
    results = write_relaxed(output, output_crystals, journal.done, settings.potential, number)
    journal.remove()
    statuses = ", ".join(f"{status} {count}" for status, count in Counter(r["status"] for r in results).most_common())
    print(f"wrote {output} ({len(results)} crystals: {statuses})")
    print(f"wrote {output_crystals} ({sum(r['cell'] is not None for r in results)} crystals)")
