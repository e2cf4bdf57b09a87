"""Stage ``candidates``: the stable, unique, novel crystals as a table and symmetrised CIFs, relaxed."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ase import Atoms

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.composition import reduced_formula
from symmcd.crystallography.orbit import replicate_flat
from symmcd.errors import InputError
from symmcd.metrics.matching import first_matches, matching
from symmcd.stability.outcome import SYMPREC
from symmcd.storage import atomic_path
from symmcd.structures.convert import from_atoms, to_structure
from symmcd.structures.frames import frames_by_id
from symmcd.structures.names import file_stems, tell_of_changes
from symmcd.structures.symmetry_search import SymmetryError
from symmcd.structures.units import reduce
from symmcd.structures.write import cifs, p1_cif, write_zip
from symmcd.tables import check_drawn, check_flags, check_numbers, read_rows

COLUMNS = (
    "id", "formula", "space_group", "space_group_relaxed", "atoms", "e_above_hull", "energy_per_atom", "decomposition",
    "hull", "rms_displacement", "volume_change", "valid", "known_elsewhere", "doubts", "file", "detail",
)  # fmt: skip
NEEDED = ("id", "hull", "formula", "e_above_hull_relaxed")
PASSED_ON = (
    "formula", "decomposition", "hull", "rms_displacement", "volume_change", "valid", "known_elsewhere", "doubts",
)  # fmt: skip


def run(per_crystal: Path, relaxed: list[Path], table: Path, archive: Path) -> None:
    """Write a row and a CIF of each crystal that is S.U.N. at the largest threshold, over the first hull.

    Crystals without doubts come first, then those nearest to (or lowest below) the hull.  Columns: ``space_group`` is
    the one asked for, ``space_group_relaxed`` the one found after relaxation (0.1 Å); ``atoms`` in the primitive cell;
    ``e_above_hull`` and ``energy_per_atom`` (CHGNet's) in eV/atom, relaxed; ``rms_displacement`` in Å; ``file`` in the
    archive.  CIFs are conventional standard cells, idealised to the symmetry found within 0.1 Å; what cannot be is
    written with all its atoms in P1, and ``detail`` says why.  No such crystal: a header and an empty archive.  Where
    there were several draws, each judged by itself, a crystal that matches one of another draw is left out.

    Args:
        per_crystal: sun_per_crystal.csv of `symmcd sun`.
        relaxed: extxyz files of `symmcd relax`.
        table: csv.
        archive: zip.

    Raises:
        InputError: a file is missing or damaged, or a crystal of the table is not among the relaxed ones.
    """
    frames = frames_by_id(relaxed)
    found = _read(per_crystal, frames, relaxed)
    missing = [name for name in found["id"] if name not in frames]
    if missing:
        where = ", ".join(map(str, relaxed))
        raise InputError(f"{per_crystal}: crystal {missing[0]} is not in {where}; the files are of different runs")
    if "draw" in found:
        found = _without_duplicates(found, frames)
    stems = dict(zip(found["id"], file_stems(found["id"].tolist()), strict=True))
    tell_of_changes(list(stems), list(stems.values()), str(archive))
    units: list[AsymmetricUnit] = []
    names: list[str] = []  # of `units`
    detail, files = {}, {}
    for name in found["id"]:
        try:
            unit = reduce(to_structure(from_atoms(frames[name])), SYMPREC)
        except SymmetryError as error:
            detail[name] = f"not reduced to its symmetry: {error}"
            files[name] = _as_it_is(stems[name], frames[name])
        else:
            units.append(unit)
            names.append(name)
    if units:
        whole = AsymmetricUnits.from_units(units, names)
        files |= dict(zip(names, cifs(replicate_flat(whole), whole, [stems[name] for name in names]), strict=True))
    rows = [
        _row(row, frames[row["id"]]) | {"file": files[row["id"]][0], "detail": detail.get(row["id"], "")}
        for row in found.to_dict("records")
    ]
    write_zip(archive, [files[name] for name in found["id"]])
    with atomic_path(table) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(rows)
    undoubted = sum(not row["doubts"] for row in rows)
    print(f"wrote {table} ({len(rows)} crystals, {undoubted} of them without doubts)")
    print(f"wrote {archive} ({len(rows)} CIFs{f', {len(detail)} of them in P1' if detail else ''})")


def _read(path: Path, frames: Mapping[str, Atoms], relaxed: list[Path]) -> pd.DataFrame:
    """S.U.N. crystals at the largest threshold over the first hull, in their order; values as text.

    Raises:
        InputError: missing, damaged, not a table of `symmcd sun`, or without one of the relaxed crystals.
    """
    rows = read_rows(path, NEEDED, "sun")
    table = pd.DataFrame(rows, columns=list(rows[0]) if rows else [*NEEDED, "sun_at_0"], dtype=str)
    thresholds = [name.removeprefix("sun_at_") for name in table.columns if name.startswith("sun_at_")]
    if not thresholds or not all(map(_is_number, thresholds)):
        raise InputError(f"{path}: lacks the column sun_at_…; give sun_per_crystal.csv of `symmcd sun`")
    check_flags(path, rows, [f"sun_at_{threshold}" for threshold in thresholds], "sun")
    check_numbers(path, rows, ("e_above_hull_relaxed",), "sun")
    for hull in dict.fromkeys(row["hull"] for row in rows):
        own = [row for row in rows if row["hull"] == hull]
        ids = {row["id"] for row in own}
        if lost := [name for name in frames if name not in ids]:
            where = ", ".join(map(str, relaxed))
            raise InputError(f"{path}: crystal {lost[0]} of {where} is missing; run `symmcd sun` again")
        check_drawn(f"{path}, hull {hull}", [row["drawn"] for row in own if "drawn" in row])
    table = table.assign(**{name: "" for name in PASSED_ON if name not in table.columns})
    found = table[table[f"sun_at_{max(thresholds, key=float)}"] == "True"]
    found = found[found["hull"] == next(iter(table["hull"]), "")]
    energy = pd.to_numeric(found["e_above_hull_relaxed"], errors="coerce")
    if energy.isna().any():
        name = found["id"][energy.isna()].iloc[0]
        raise InputError(f"{path}: crystal {name} is S.U.N. without an energy above the hull; run `symmcd sun` again")
    return found.iloc[np.lexsort((energy, found["doubts"] != ""))]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _without_duplicates(found: pd.DataFrame, frames: Mapping[str, Atoms]) -> pd.DataFrame:
    """Each crystal once, the first of those that match: every draw was judged by itself."""
    same = matching([to_structure(from_atoms(frames[name])) for name in found["id"]])
    first = first_matches(range(len(found)), same)
    return found[[first[place] is None for place in range(len(found))]]


def _row(row: dict[str, str], frame: Atoms) -> dict[str, Any]:
    """What both files say of a crystal."""
    about = {key: row[key] for key in PASSED_ON}
    return about | {
        "id": row["id"],
        "space_group": frame.info.get("space_group", ""),
        "space_group_relaxed": frame.info.get("space_group_relaxed") or "",
        "atoms": len(frame),
        "e_above_hull": row["e_above_hull_relaxed"],
        "energy_per_atom": f"{frame.info['energy_per_atom']:.6f}" if "energy_per_atom" in frame.info else "",
    }


def _as_it_is(stem: str, frame: Atoms) -> tuple[str, str]:
    """Name and text of a CIF without symmetry."""
    formula = reduced_formula(Counter(frame.numbers.tolist()))
    return f"{stem}_{formula}_1.cif", p1_cif(f"{stem}_{formula}", from_atoms(frame))
