"""Stage ``score``: generated crystals → one row of validity and symmetry each."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

from pymatgen.core import Structure

from symmcd.metrics.symmetry import detected_group, keeps_group
from symmcd.metrics.validity import composition_verdict, distances, structurally_valid
from symmcd.settings import ScoreSettings
from symmcd.stability.journal import Journal, Progress
from symmcd.storage import atomic_path
from symmcd.structures.write import read_extxyz

COLUMNS = (
    "id", "status", "formula", "atoms", "volume", "density", "space_group", "space_group_found", "space_group_found_tight",
    "group_kept", "closest", "closest_with_images", "structurally_valid", "structurally_valid_strict",
    "composition", "compositionally_valid", "valid",
)  # fmt: skip
TIGHT = 0.01  # Å, the second tolerance of the symmetry search


def run(crystals: Path, output: Path, shard: int, shards: int, settings: ScoreSettings) -> None:
    """Score the crystals ``shard::shards``; each is a row, whatever happens to it.

    Raises:
        InputError: unreadable crystals, or an output that cannot be written.
    """
    frames = read_extxyz(crystals)[shard::shards]
    work = {
        "crystals": hashlib.sha256(crystals.read_bytes()).hexdigest(),
        "settings": dataclasses.asdict(settings),
        "shard": [shard, shards],
    }
    journal = Journal(output, work)
    finished = {row["id"] for row in journal.done}
    with Progress(len(frames), len(finished), "crystals") as progress:
        for frame in frames:
            if frame.info["id"] in finished:
                continue
            structure = Structure(frame.cell.array, frame.numbers.tolist(), frame.positions, coords_are_cartesian=True)
            row = score(structure, int(frame.info["space_group"]), settings.symprec, settings.smact_seconds)
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


def score(structure: Structure, space_group: int | None, symprec: float, smact_seconds: float) -> dict[str, Any]:
    """All per-crystal metrics of one crystal.

    Args:
        structure: conventional cell in the standard setting where `space_group` is given.
        space_group: the one asked for; None where nothing was.
        symprec: Å, of `space_group_found`.
        smact_seconds: time limit of the composition test.

    Returns:
        One value for each of `COLUMNS` but ``id``; ``status`` is ``ok`` or names what could not be computed.
    """
    near = distances(structure)
    verdict = composition_verdict(structure.composition.reduced_formula, smact_seconds)
    found = detected_group(structure, symprec)
    structural = structurally_valid(structure, near.between_atoms)
    problems = (["no_space_group"] if found is None else []) + ([f"composition_{verdict}"] if verdict in ("timed_out", "too_many") else [])
    return {
        "status": ";".join(problems) or "ok",
        "formula": structure.composition.reduced_formula,
        "atoms": len(structure),
        "volume": round(structure.volume, 4),
        "density": round(float(structure.density), 6),
        "space_group": space_group,
        "space_group_found": found,
        "space_group_found_tight": detected_group(structure, TIGHT),
        "group_kept": None if space_group is None else keeps_group(structure, space_group),
        "closest": round(near.between_atoms, 5),
        "closest_with_images": round(near.with_self, 5),
        "structurally_valid": structural,
        "structurally_valid_strict": structurally_valid(structure, near.with_self),
        "composition": verdict,
        "compositionally_valid": verdict == "valid",
        "valid": structural and verdict == "valid",
    }
