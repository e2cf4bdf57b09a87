"""Stage ``score``: generated crystals → one row of validity and symmetry each."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

from symmcd.command import Parser
from symmcd.errors import InputError
from symmcd.journal import Journal, Progress
from symmcd.settings import ScoreSettings
from symmcd.writing import atomic_path

EXAMPLE = "results/crystals/units.npz --output results/metrics/shard0.csv --shard 0/4"


def arguments(parser: Parser) -> None:
    """Declare the arguments of the command line."""
    parser.add_argument("crystals", type=Path, help="units.npz of `symmcd replicate`, or an extxyz file of your own")
    parser.add_output("one row for each crystal, csv")
    parser.add_shard()
    parser.add_settings("score")


def run(crystals: Path, output: Path, shard: int, shards: int, settings: ScoreSettings) -> None:
    """Score the crystals ``shard::shards``; each is a row, whatever happens to it.

    Where no frame says a space group that it was made in, symmetry is found and compared with nothing.

    Raises:
        InputError: unreadable crystals, a space group that is none or that only some have, or an output that cannot be
            written.
    """
    from symmcd.metrics.crystal_scores import columns, score
    from symmcd.structures.convert import to_structure
    from symmcd.structures.crystal_file import read_crystal_file

    given = read_crystal_file(crystals)
    groups = given.space_group
    if None in groups and any(groups):
        raise InputError(
            f"{crystals}: frame {given.ids[groups.index(None)]} has no space_group; expected a number from 1 to 230, "
            "as other frames have"
        )
    chosen = range(len(given.ids))[shard::shards]
    work: dict[str, Any] = {
        "crystals": hashlib.sha256(crystals.read_bytes()).hexdigest(),
        "settings": dataclasses.asdict(settings),
        "shard": [shard, shards],
        "columns": list(columns()),
    }
    journal = Journal(output, work)
    finished = {row["id"] for row in journal.done}
    with Progress(len(chosen), len(finished), "crystals") as progress:
        for index in chosen:
            if given.ids[index] in finished:
                continue
            structure = to_structure(given.cell(index))
            row = score(structure, groups[index], settings.symprec, settings.smact_seconds)
            journal.append({"id": given.ids[index], **row})
            progress.advance(1, row["formula"])
    rows = sorted(journal.done, key=lambda row: row["id"])
    with atomic_path(output) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, work["columns"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    journal.remove()
    statuses = ", ".join(f"{status} {count}" for status, count in Counter(row["status"] for row in rows).most_common())
    print(f"wrote {output} ({len(rows)} crystals: {statuses or 'none'})")
