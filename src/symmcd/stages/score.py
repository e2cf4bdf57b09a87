"""Stage ``score``: generated crystals → one row of validity and symmetry each."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

from symmcd.command import Parser
from symmcd.journal import Journal, Progress
from symmcd.settings import ScoreSettings
from symmcd.writing import atomic_path

EXAMPLE = "results/crystals/crystals.extxyz --output results/metrics/shard0.csv --shard 0/4"


def arguments(parser: Parser) -> None:
    """What the command line takes."""
    parser.add_argument("crystals", type=Path, help="crystals.extxyz of `symmcd replicate`")
    parser.add_output("one row a crystal, csv")
    parser.add_shard()
    parser.add_settings("score")


def run(crystals: Path, output: Path, shard: int, shards: int, settings: ScoreSettings) -> None:
    """Score the crystals ``shard::shards``; each is a row, whatever happens to it.

    Where no frame says a space group that it was made in, symmetry is found and compared with nothing.

    Raises:
        InputError: unreadable crystals, a space group that is none or that only some have, or an output that cannot be
            written.
    """
    from symmcd.metrics.crystal_scores import columns, score_frame
    from symmcd.structures.frames import read_generated, space_group_of

    everything = read_generated(crystals)
    grouped = any("space_group" in frame.info for frame in everything)
    frames = everything[shard::shards]
    groups = [space_group_of(crystals, frame, needed=", as other frames have" if grouped else "") for frame in frames]
    work: dict[str, Any] = {
        "crystals": hashlib.sha256(crystals.read_bytes()).hexdigest(),
        "settings": dataclasses.asdict(settings),
        "shard": [shard, shards],
        "columns": list(columns()),
    }
    journal = Journal(output, work)
    finished = {row["id"] for row in journal.done}
    with Progress(len(frames), len(finished), "crystals") as progress:
        for frame, space_group in zip(frames, groups, strict=True):
            if frame.info["id"] in finished:
                continue
            row = score_frame(frame, space_group, settings.symprec, settings.smact_seconds)
            journal.append({"id": frame.info["id"], **row})
            progress.advance(1, row["formula"])
    rows = sorted(journal.done, key=lambda row: row["id"])
    with atomic_path(output) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, work["columns"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    journal.remove()
    statuses = ", ".join(f"{status} {count}" for status, count in Counter(row["status"] for row in rows).most_common())
    print(f"wrote {output} ({len(rows)} crystals: {statuses or 'none'})")
