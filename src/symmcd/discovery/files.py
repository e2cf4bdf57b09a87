"""Files that `symmcd discover` leaves in its folder: the table, the relaxed crystals, their CIFs."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.orbit import replicate_flat
from symmcd.extensions import SCREENS
from symmcd.storage import atomic_path, write_units
from symmcd.structures.names import file_stems
from symmcd.structures.write import cifs, write_extxyz
from symmcd.tables import check_numbers, read_rows
from symmcd.writing import atomic_folder, delete

TABLE, PAGE, UNITS, FRAMES, CIFS, SUMMARY = (
    "candidates.csv", "index.html", "units.npz", "crystals.extxyz", "cif", "summary.json",
)  # fmt: skip
WORK = "work"  # journals
RESULTS = (TABLE, PAGE, UNITS, FRAMES, CIFS, SUMMARY, "inputs", "candidates.json", WORK)
FIRST = ("rank", "id", "verdict", "formula", "space_group", "space_group_relaxed", "atoms", "e_above_hull")
THEN = (
    "judges_spread", "doubts", "decomposition", "reference_entries", "hull", "known", "same_arrangement",
    "same_formula_and_group", "same_formula", "duplicate_of", "valid", "status", "energy_per_atom",
    "formation_energy_per_atom", "density", "min_distance", "volume_change",
    "rms_displacement", "predicted", "log_probability",
)  # fmt: skip
NUMBERS = {
    "rank", "space_group", "space_group_relaxed", "atoms", "judges_spread", "reference_entries", "same_formula",
    "energy_per_atom", "formation_energy_per_atom", "density", "min_distance", "volume_change", "rms_displacement",
    "predicted", "log_probability", "seed", "draft",
}  # fmt: skip
SCREEN = "screen_"  # and the name of a screen: a column
LAST = ("file", "detail", "seed", "draft", "version", "weights", "command")


def columns(rows: Sequence[Mapping[str, Any]], judges: Sequence[str]) -> list[str]:
    """Columns of the table in order; further keys of the rows come before the names of files."""
    fixed = [*FIRST, *(f"e_above_hull_{judge}" for judge in judges), *THEN]
    further = dict.fromkeys(name for row in rows for name in row if name not in {*fixed, *LAST})
    return [*fixed, *further, *LAST]


def field(value: Any) -> str:
    """Format a value for the table: six digits, blank if there is none."""
    if value is None:
        return ""
    return f"{value:.6f}" if isinstance(value, float) else str(value)


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], judges: Sequence[str]) -> None:
    """One row per crystal, csv."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        names = columns(rows, judges)
        writer.writerow(names)
        writer.writerows([field(row.get(name)) for name in names] for row in rows)


def read_table(path: Path) -> dict[str, dict[str, Any]]:
    """Rows of a table by id: numbers as numbers, None if nothing is said, doubts as a list of words.

    Raises:
        InputError: missing, damaged, or a number that is none.
    """
    rows = read_rows(path, ("id", "verdict", "e_above_hull"), "discover")
    number = [name for name in (rows[0] if rows else ()) if is_number(name)]
    check_numbers(path, rows, number, "discover")
    table: dict[str, dict[str, Any]] = {}
    for row in rows:
        values: dict[str, Any] = {name: text or None for name, text in row.items()}
        values |= {name: _number(row[name]) for name in number if row[name]}
        table[row["id"]] = values | {"doubts": [word for word in row.get("doubts", "").split(";") if word]}
    return table


def is_number(column: str) -> bool:
    """Return whether a column of the table holds numbers; values of a screen of an unknown package are text."""
    screen = column.removeprefix(SCREEN)
    if screen != column:
        return screen in SCREENS and not SCREENS[screen].text
    return column in NUMBERS or column.startswith(("e_above_hull", "e_above_own_hull"))


def _number(text: str) -> float:
    return int(text) if text.lstrip("+-").isdecimal() else float(text)


def write_relaxed(folder: Path, units: Mapping[str, AsymmetricUnit]) -> tuple[dict[str, str], dict[str, str]]:
    """Write units.npz, crystals.extxyz and a folder of CIFs of relaxed crystals.

    Args:
        folder: they go to.
        units: by id, in the order of the table.

    Returns:
        Place of each CIF in the folder, and its text, by id.
    """
    if not units:
        for name in (UNITS, FRAMES, CIFS):
            delete(folder / name)
        return {}, {}
    whole = AsymmetricUnits.from_units(list(units.values()), list(units))
    crystals = replicate_flat(whole)
    write_units(folder / UNITS, whole)
    write_extxyz(folder / FRAMES, crystals, whole)
    places, texts = {}, {}
    with atomic_folder(folder / CIFS) as building:
        for name, (file, text) in zip(units, cifs(crystals, whole, file_stems(list(units))), strict=True):
            (building / file).write_text(text, encoding="ascii")
            places[name], texts[name] = f"{CIFS}/{file}", text
    return places, texts


def write_json(path: Path, content: Any) -> None:
    """A JSON file."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
