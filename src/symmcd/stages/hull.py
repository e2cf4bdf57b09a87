"""Stage ``hull``: energy of each relaxed crystal above the convex hull of the reference crystals."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from symmcd.errors import InputError
from symmcd.settings import HullSettings
from symmcd.stability.hull import ConvexHull, MissingReferenceError
from symmcd.stability.reference import read_entries
from symmcd.storage import atomic_path

COLUMNS = (
    "id", "hull", "status", "formula", "energy_initial", "energy_relaxed", "hull_energy", "e_above_hull_initial",
    "e_above_hull_relaxed", "decomposition", "space_group_initial", "space_group_relaxed", "rms_displacement",
    "volume_change",
)  # fmt: skip
PASSED_ON = (
    "space_group_initial",
    "space_group_relaxed",
    "rms_displacement",
    "volume_change",
    "draw",
)  # where `relaxed` has it


def run(relaxed: list[Path], reference: Path, output: Path, settings: HullSettings) -> None:  # noqa: ARG001  (the hull is in `reference`)
    """Write one row per crystal and hull, in eV/atom, negative below the hull.

    `status` is that of the relaxation, or ``no_reference:<elements>`` where the hull lacks an element: then, as where a
    crystal has no energy, ``e_above_hull_*`` are empty.

    Raises:
        InputError: an unreadable file, or one that lacks a column; two rows of the same crystal.
    """
    rows = [row for path in relaxed for row in _read_relaxed(path)]
    if len({row["id"] for row in rows}) != len(rows):
        raise InputError(f"{', '.join(map(str, relaxed))}: a crystal is there twice; give each shard once")
    results = []
    for name, entries in read_entries(reference).items():
        hull = ConvexHull(entries)
        results += [_above(row, name, hull) for row in sorted(rows, key=lambda row: row["id"])]
    with atomic_path(output) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        drawn = ("draw",) if any("draw" in row for row in results) else ()
        writer = csv.DictWriter(file, (*COLUMNS, *drawn), lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(results)
    known = sum(row["e_above_hull_relaxed"] != "" for row in results)
    print(f"wrote {output} ({len(results)} rows, {known} with an energy above the hull after relaxation)")


def _above(row: dict[str, str], name: str, hull: ConvexHull) -> dict[str, Any]:
    result: dict[str, Any] = {key: row[key] for key in ("id", "status", "formula", "energy_initial", "energy_relaxed")}
    result |= {"hull": name, "e_above_hull_initial": "", "e_above_hull_relaxed": ""}
    result |= {key: row[key] for key in PASSED_ON if key in row}
    try:
        point = hull.at(row["formula"])
    except MissingReferenceError as missing:
        return result | {"status": f"no_reference:{missing}"}
    result |= {"hull_energy": f"{point.energy_per_atom:.6f}", "decomposition": point.decomposition}
    for when in ("initial", "relaxed"):
        if row[f"energy_{when}"]:
            result[f"e_above_hull_{when}"] = f"{float(row[f'energy_{when}']) - point.energy_per_atom:.6f}"
    return result


def _read_relaxed(path: Path) -> list[dict[str, str]]:
    needed = ("id", "status", "formula", "energy_initial", "energy_relaxed")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [name for name in needed if name not in (reader.fieldnames or ())]
            if missing:
                raise InputError(f"{path}: lacks the column {', '.join(missing)}; give csv files of `symmcd relax`")
            return list(reader)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot read it ({error}); run `symmcd relax` first") from None
