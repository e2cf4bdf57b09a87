"""Energy of each relaxed crystal above the convex hull of the reference crystals, from table to table."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from symmcd.errors import InputError
from symmcd.extensions import HULL_SOURCES, POTENTIALS, check_hull
from symmcd.stability import corrections
from symmcd.stability.hull import ConvexHull, HullEntry, MissingReferenceError
from symmcd.stability.hull_entries import is_formula, read_entries
from symmcd.stability.own_entries import Judged, own_entries
from symmcd.storage import atomic_path
from symmcd.tables import check_drawn, check_numbers, read_rows

COLUMNS = (
    "id", "hull", "status", "formula", "energy_initial", "energy_relaxed", "hull_energy", "e_above_hull_initial",
    "e_above_hull_relaxed", "decomposition", "space_group_initial", "space_group_relaxed", "rms_displacement",
    "volume_change", "reference_entries", "own_reference",
)  # fmt: skip
NEEDED = ("id", "status", "formula", "energy_initial", "energy_relaxed")
PASSED_ON = (
    "space_group_initial",
    "space_group_relaxed",
    "rms_displacement",
    "volume_change",
    "drawn",
    "draw",
)  # where `relaxed` has it


OTHERS = (
    "give `symmcd reference` other crystals, such as train.npz, val.npz and test.npz of the model's data, or choose "
    "hull.source = table or matbench-discovery"
)


def above_hulls(relaxed: Sequence[Path], reference: Path) -> list[dict[str, Any]]:
    """One row a crystal and hull, in eV/atom, negative below the hull; see `symmcd.stages.hull.run`.

    Energies of a potential whose energies can be corrected are corrected here, whatever the hull.

    Raises:
        InputError: an unreadable file, one that lacks a column, or one that was cut; two rows of the same crystal; a
            hull that is made of the crystals to be judged, or one whose energies are on another scale than theirs.
    """
    where = ", ".join(map(str, relaxed))
    rows = [row for path in relaxed for row in _read_relaxed(path)]
    if len({row["id"] for row in rows}) != len(rows):
        raise InputError(f"{where}: a crystal is there twice; give each shard once")
    check_drawn(where, [row["drawn"] for row in rows if "drawn" in row])
    rows.sort(key=lambda row: row["id"])
    judged = [Judged(row["id"], row["formula"], _energies(row)) for row in rows]
    results = []
    for name, entries in read_entries(reference).items():
        for potential in sorted({row.get("potential") or "chgnet" for row in rows}):
            _check_scale(potential, name)
        own = own_entries(judged, entries)
        if own.alone:
            raise InputError(
                f"{reference}: the hull {name!r} is made of the crystals that it is to judge ({len(own.entry)} of "
                f"{len(rows)}, the first {next(iter(own.entry))}) and of elements, so that none can lie above it; "
                f"{OTHERS}"
            )
        if own.entry:
            print(
                f"{reference}: {len(own.entry)} of {len(rows)} crystals are entries of the hull {name!r} themselves, "
                f"the first {next(iter(own.entry))}: see the column own_reference",
                file=sys.stderr,
            )
        hull = ConvexHull(entries)
        results += [_above(row, name, hull, own.entry) for row in rows]
    return results


def write_above_hulls(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of `above_hulls` as csv."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        drawn = [key for key in ("drawn", "draw") if any(key in row for row in rows)]
        writer = csv.DictWriter(file, (*COLUMNS, *drawn), lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(rows)


def _check_scale(potential: str, hull: str) -> None:
    """Refuse a hull whose energies are known to be on another scale than the potential's; `hull` is its name."""
    source = "table" if hull.startswith("table ") else hull
    if source in HULL_SOURCES or source in POTENTIALS:
        check_hull(potential, source)


def _energies(row: dict[str, str]) -> tuple[float, ...]:
    return tuple(float(row[name]) for name in ("energy_initial", "energy_relaxed") if row[name])


def _above(row: dict[str, str], name: str, hull: ConvexHull, own: Mapping[str, HullEntry]) -> dict[str, Any]:
    result: dict[str, Any] = {key: row[key] for key in ("id", "status", "formula", "energy_initial", "energy_relaxed")}
    result |= {"hull": name, "e_above_hull_initial": "", "e_above_hull_relaxed": ""}
    result |= {key: row[key] for key in PASSED_ON if key in row}
    entry = own.get(row["id"])
    result["reference_entries"] = hull.entries_in(row["formula"]) - (entry is not None)
    result["own_reference"] = "" if entry is None else f"{entry.origin}:{entry.id}" if entry.id else entry.origin
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
    rows = read_rows(path, NEEDED, "relax")
    check_numbers(path, rows, NEEDED[3:], "relax")
    for number, row in enumerate(rows, 1):
        if not row["id"] or not row["status"] or not is_formula(row["formula"]):
            raise InputError(
                f"{path}, row {number}: id {row['id']!r}, status {row['status']!r}, formula {row['formula']!r}; run "
                "`symmcd relax` again"
            )
    if not any(_correctable(row) for row in rows):
        return rows
    rows = read_rows(path, (*NEEDED, *corrections.COLUMNS), "relax")
    check_numbers(path, rows, corrections.COLUMNS, "relax")
    return [corrections.corrected(row) if _correctable(row) else row for row in rows]


def _correctable(row: Mapping[str, str]) -> bool:
    """Whether the row has energies that lack the corrections which every hull has."""
    name = row.get("potential") or "chgnet"
    return name in POTENTIALS and POTENTIALS[name].correctable
