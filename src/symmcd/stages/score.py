"""Stage ``score``: generated crystals → one row of validity and symmetry each."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from pymatgen.core import Composition, Structure

from symmcd.journal import Journal, Progress
from symmcd.metrics.crystal_scores import COLUMNS, FLAT, score, unscored
from symmcd.settings import ScoreSettings
from symmcd.storage import atomic_path
from symmcd.structures.frames import read_generated, space_group_of


def run(crystals: Path, output: Path, shard: int, shards: int, settings: ScoreSettings) -> None:
    """Score the crystals ``shard::shards``; each is a row, whatever happens to it.

    Where no frame says a space group that it was made in, symmetry is found and compared with nothing.

    Raises:
        InputError: unreadable crystals, a space group that is none or that only some have, or an output that cannot be
            written.
    """
    everything = read_generated(crystals)
    grouped = any("space_group" in frame.info for frame in everything)
    frames = everything[shard::shards]
    groups = [space_group_of(crystals, frame, needed=", as other frames have" if grouped else "") for frame in frames]
    work = {
        "crystals": hashlib.sha256(crystals.read_bytes()).hexdigest(),
        "settings": dataclasses.asdict(settings),
        "shard": [shard, shards],
    }
    journal = Journal(output, work)
    finished = {row["id"] for row in journal.done}
    with Progress(len(frames), len(finished), "crystals") as progress:
        for frame, space_group in zip(frames, groups, strict=True):
            if frame.info["id"] in finished:
                continue
            row = _row(frame, space_group, settings)
            journal.append({"id": frame.info["id"], **row})
            progress.advance(1, row["formula"])
    rows = sorted(journal.done, key=lambda row: row["id"])
    with atomic_path(output) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    journal.remove()
    statuses = ", ".join(f"{status} {count}" for status, count in Counter(row["status"] for row in rows).most_common())
    print(f"wrote {output} ({len(rows)} crystals: {statuses or 'none'})")


def _row(frame: Atoms, space_group: int | None, settings: ScoreSettings) -> dict[str, Any]:
    """Scores of a frame; a flat cell has no fractional coordinates to make a structure of."""
    volume = abs(np.linalg.det(frame.cell.array))
    if not volume >= FLAT:  # nan is not above either
        formula = Composition(frame.get_chemical_formula()).reduced_formula
        return unscored("bad_cell", space_group, formula, f"volume {volume:.3g} Å³")
    structure = Structure(frame.cell.array, frame.numbers.tolist(), frame.positions, coords_are_cartesian=True)
    return score(structure, space_group, settings.symprec, settings.smact_seconds)
