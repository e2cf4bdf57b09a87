"""Energy of each relaxed crystal above the convex hulls of the reference crystals, from tables to a table.

A *judge* is a potential whose energies say which crystals are stable: the one that relaxed them, and perhaps others.
"""

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
from symmcd.stability.hull_entries import read_entries
from symmcd.stability.own_entries import Judged, own_entries
from symmcd.stability.relaxed_table import potential_of, read_relaxed_table
from symmcd.storage import atomic_path
from symmcd.tables import check_drawn, check_ids, check_numbers, read_rows

COLUMNS = (
    "id", "judge", "hull", "status", "formula", "energy_initial", "energy_relaxed", "hull_energy",
    "e_above_hull_initial", "e_above_hull_relaxed", "decomposition", "space_group_initial", "space_group_relaxed",
    "rms_displacement", "volume_change", "reference_entries", "own_reference",
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
    "give `symmcd reference` (or --train and --reference of `symmcd evaluate`) other crystals, such as train.npz, "
    "val.npz and test.npz of the model's data, or choose hull.source = table or matbench-discovery"
)


def above_hulls(relaxed: Sequence[Path], references: Sequence[Path]) -> list[dict[str, Any]]:
    """One row per crystal, judge and hull, in eV/atom, negative below the hull; see `symmcd.stages.hull.run`.

    Energies of a potential whose energies can be corrected are corrected here, whatever the hull.

    Args:
        relaxed: tables of `symmcd relax`, and of `symmcd judge` for further judges of the same crystals.
        references: tables of `symmcd reference`.  Each judge's energies are held against every hull on their scale.

    Raises:
        InputError: an unreadable file, one that lacks a column, or one that was cut; two rows of the same crystal; a
            judge that lacks a crystal; a hull that is made of the crystals to be judged, or one whose energies are on
            another scale than theirs; a judge without a hull.
    """
    rows_of = _by_judge(relaxed)
    hulls = _read_hulls(references)
    for judge in rows_of:
        _check_scales(judge, list(hulls), list(rows_of))
    results = []
    found: dict[str, tuple[str, str]] = {}  # crystal -> origin and id of the reference crystal that it is
    for judge, rows in rows_of.items():
        judged = [Judged(row["id"], row["formula"], _energies(row)) for row in rows]
        for name, (reference, hull, entries) in hulls.items():
            if not _same_scale(judge, name):
                continue
            own = own_entries(judged, entries)
            if own.alone:
                raise InputError(
                    f"{reference}: the hull {name!r} consists of the crystals that "
                    f"it should judge ({len(own.entry)} of "
                    f"{len(rows)}, the first {next(iter(own.entry))}) and of "
                    "elements, so none of them can lie above it; "
                    f"{OTHERS}"
                )
            if own.entry:
                print(
                    f"{reference}: {len(own.entry)} of {len(rows)} crystals are entries of the hull {name!r} "
                    f"themselves, the first {next(iter(own.entry))}: see the column own_reference",
                    file=sys.stderr,
                )
            found |= {crystal: (entry.origin, entry.id) for crystal, entry in own.entry.items() if entry.id}
            of_all = _all_own(own.entry, found, entries)
            results += [_above(row, judge, name, hull, of_all) for row in rows]
    return results


def _all_own(
    own: Mapping[str, HullEntry], found: Mapping[str, tuple[str, str]], entries: Sequence[HullEntry]
) -> dict[str, HullEntry]:
    """Entries of a hull that are crystals to be judged: `own`, and those `found` by another judge or in another hull.

    A further judge knows energies of relaxed crystals only, by which an entry that was not relaxed cannot be told.
    """
    by_name = {(entry.origin, entry.id): entry for entry in entries if entry.id} if found else {}
    return {name: by_name[key] for name, key in found.items() if key in by_name} | dict(own)


def _by_judge(tables: Sequence[Path]) -> dict[str, list[dict[str, str]]]:
    """Rows of each judge by its potential's name, sorted by crystal; the one that relaxed the crystals comes first.

    Raises:
        InputError: as `above_hulls`.
    """
    where = ", ".join(map(str, tables))
    rows_of: dict[str, list[dict[str, str]]] = {}
    # whatever the order of the arguments; the column is of `symmcd judge`
    for own in sorted(map(_read_relaxed, tables), key=lambda rows: any("energy_given" in row for row in rows)):
        for row in own:
            rows_of.setdefault(potential_of(row), []).append(row)
    first = next(iter(rows_of), "")
    for judge, rows in rows_of.items():
        rows.sort(key=lambda row: row["id"])
        ids = [row["id"] for row in rows]
        if len(set(ids)) != len(ids):
            raise InputError(f"{where}: a crystal appears twice; give each shard once")
        check_drawn(where, [row["drawn"] for row in rows if "drawn" in row])
        check_ids(f"{where}, {judge}", ids, [row["id"] for row in rows_of[first]], f"the rows of {first}", "judge")
    return rows_of


def _read_hulls(references: Sequence[Path]) -> dict[str, tuple[Path, ConvexHull, list[HullEntry]]]:
    """File, hull and entries of each hull by its name.

    Raises:
        InputError: a file that cannot be used, or two hulls of one name.
    """
    hulls: dict[str, tuple[Path, ConvexHull, list[HullEntry]]] = {}
    for path in references:
        for name, entries in read_entries(path).items():
            if name in hulls:
                raise InputError(f"{path}: the hull {name!r} is already in {hulls[name][0]}; give each hull once")
            hulls[name] = (path, ConvexHull(entries), entries)
    return hulls


def write_above_hulls(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of `above_hulls` as csv."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        drawn = [key for key in ("drawn", "draw") if any(key in row for row in rows)]
        writer = csv.DictWriter(file, (*COLUMNS, *drawn), lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(rows)


def _source(hull: str) -> str:
    """Source of a hull of this name, as in `hull.source`."""
    return "table" if hull.startswith("table ") else hull


def _same_scale(judge: str, hull: str) -> bool:
    """Return whether energies of a judge can be compared with a hull; an unknown hull is trusted."""
    source = _source(hull)
    try:
        check_hull(judge, source)
    except InputError:
        return source not in HULL_SOURCES and source not in POTENTIALS
    return True


def _check_scales(judge: str, hulls: Sequence[str], judges: Sequence[str]) -> None:
    """Refuse a hull that is on no judge's scale, and a judge that has no hull.

    Raises:
        InputError: naming both.
    """
    if any(_same_scale(judge, hull) for hull in hulls):
        foreign = [hull for hull in hulls if not any(_same_scale(other, hull) for other in judges)]
    elif judge == judges[0]:
        foreign = [hull for hull in hulls if not _same_scale(judge, hull)]
    else:
        raise InputError(
            f"the judge {judge} has no hull on its energy scale among "
            f"{', '.join(map(repr, hulls))}; run `symmcd reference "
            f"--set hull.source={judge}` and add its file to --reference"
        )
    for hull in foreign:
        check_hull(judge, _source(hull))


def _energies(row: dict[str, str]) -> tuple[float, ...]:
    return tuple(float(row[name]) for name in ("energy_initial", "energy_relaxed") if row[name])


def _above(
    row: dict[str, str], judge: str, name: str, hull: ConvexHull, own: Mapping[str, HullEntry]
) -> dict[str, Any]:
    result: dict[str, Any] = {key: row[key] for key in ("id", "status", "formula", "energy_initial", "energy_relaxed")}
    result |= {"judge": judge, "hull": name, "e_above_hull_initial": "", "e_above_hull_relaxed": ""}
    result |= {key: row[key] for key in PASSED_ON if key in row}
    if not row["formula"]:
        return result
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
    rows = read_relaxed_table(path, NEEDED, NEEDED[3:])
    if not any(_correctable(row) for row in rows):
        return rows
    rows = read_rows(path, (*NEEDED, *corrections.COLUMNS), "relax")
    check_numbers(path, rows, corrections.COLUMNS, "relax")
    return [corrections.corrected(row) if _correctable(row) else row for row in rows]


def _correctable(row: Mapping[str, str]) -> bool:
    """Return whether the row has energies that lack the corrections which every hull has."""
    name = potential_of(row)
    return name in POTENTIALS and POTENTIALS[name].correctable
