"""Stage ``judge``: energies of relaxed crystals by a further potential."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

from symmcd.command import Parser
from symmcd.errors import InputError
from symmcd.extensions import POTENTIALS
from symmcd.settings import JudgeSettings, RelaxSettings

EXAMPLE = (
    "results/relaxed/relaxed.csv --relaxed results/relaxed/relaxed.extxyz --potential sevennet-0\n"
    "    --output results/judges/sevennet-0/shard0.csv"
)


def arguments(parser: Parser) -> None:
    """Declare the arguments of the command line."""
    parser.add_argument("tables", type=Path, nargs="+", help="csv files of `symmcd relax`")
    text = "extxyz files of `symmcd relax`"
    parser.add_argument("--relaxed", type=Path, nargs="+", required=True, metavar="FILE", help=text)
    text = f"that judges: {', '.join(POTENTIALS)}"
    parser.add_argument("--potential", required=True, metavar="NAME", help=text)
    parser.add_output("energies and status, one row for each crystal, csv")
    parser.add_shard()
    parser.add_device()
    parser.add_settings("judge", "relax")


def run(
    tables: list[Path],
    relaxed: list[Path],
    potential: str,
    output: Path,
    shard: int,
    shards: int,
    settings: JudgeSettings,
    relax: RelaxSettings,
    device: str,
) -> None:
    """Write the energies of this shard's part of the relaxed crystals by `potential`, for `symmcd hull`.

    The energy is that of the structure that another potential relaxed (``energy_given``), or with `settings.relax` that
    after it was relaxed again (``energy_relaxed``), unconstrained, within the limits of `relax`.  There is a row for
    each crystal that was drawn for relaxation; those that have no relaxed structure keep their status.  Finished
    crystals go to ``OUTPUT.partial``, from where a killed run goes on.  ``energy_initial`` is blank: what was generated
    is not judged.

    Args:
        tables: csv files of `symmcd relax`, of all its shards.
        relaxed: its extxyz files.
        potential: name in the registry, another than that which relaxed the crystals.
        output: the table, csv.
        shard: from 0.
        shards: how many there are.
        settings: whether crystals are relaxed again.
        relax: steps and limits of that.
        device: auto, cuda or cpu.

    Raises:
        InputError: no such potential, its package is not installed, it is the one that relaxed the crystals, or files
            that cannot be read or are of different runs.
    """
    from symmcd.device import choose_device, hold_gpu
    from symmcd.journal import Journal
    from symmcd.stability.judge_set import journal_work, judge_rest, read_relaxed_rows, write_judged
    from symmcd.stability.outcome import Limits
    from symmcd.structures.crystal_file import crystals_of
    from symmcd.structures.frames import frames_by_id

    if potential not in POTENTIALS:
        raise InputError(f"--potential {potential}: choose one of {', '.join(POTENTIALS)}")
    rows = read_relaxed_rows(tables, potential)[shard::shards]
    given = crystals_of(frames_by_id(relaxed))
    limits = dataclasses.replace(Limits(**relax.limits()), release_steps=0) if settings.relax else None
    work = {**journal_work((*tables, *relaxed), potential, limits), "shard": [shard, shards]}
    hold_gpu(device)
    journal = Journal(output, work)
    results = judge_rest(rows, given, potential, limits, choose_device(device).type, journal)
    write_judged(output, results, potential)
    journal.remove()
    statuses = ", ".join(f"{name} {count}" for name, count in Counter(r["status"] for r in results).most_common())
    print(f"wrote {output} ({len(results)} crystals, {potential}: {statuses})")
