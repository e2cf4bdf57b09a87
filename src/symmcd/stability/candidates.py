"""The stable, unique, novel crystals: their rows and their CIFs, relaxed."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
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
from symmcd.metrics.oversampling import DRAFTS
from symmcd.stability.doubts import WORDS
from symmcd.stability.judges import ALL, OWN, family
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
NEEDED = ("id", "judge", "hull", "formula", "e_above_hull_relaxed")
DISAGREE_WORD = "judges_disagree"
OF_JUDGE = "e_above_hull_"  # and the judge's name
PASSED_ON = (
    "formula", "decomposition", "hull", "rms_displacement", "volume_change", "valid", "known_elsewhere", "doubts",
)  # fmt: skip


def read_candidates(path: Path, frames: Mapping[str, Atoms], relaxed: list[Path]) -> tuple[pd.DataFrame, list[str]]:
    """S.U.N. crystals at the largest threshold by the first judge over its first hull, values as text.

    Those without doubts come first, then by energy: that of the judge which calls the crystal least stable.  Where
    there are several judges, columns ``e_above_hull_<judge>`` of each, over hulls of the same family, ``judges_spread``
    and ``sun_by_all`` are there.  Where there were several draws, each judged by itself, a crystal that matches one of
    another draw is left out.

    Returns:
        The crystals, and the names of the columns that are there because there are several judges, or because a
        stability model chose the crystals.

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
    for judge, hull in dict.fromkeys((row["judge"], row["hull"]) for row in rows):
        own = [row for row in rows if (row["judge"], row["hull"]) == (judge, hull)]
        ids = {row["id"] for row in own}
        if lost := [name for name in frames if name not in ids]:
            where = ", ".join(map(str, relaxed))
            raise InputError(f"{path}: crystal {lost[0]} of {where} is missing; run `symmcd sun` again")
        check_drawn(f"{path}, judge {judge}, hull {hull}", [row["drawn"] for row in own if "drawn" in row])
    table = table.assign(**{name: "" for name in PASSED_ON if name not in table.columns})
    is_sun = f"sun_at_{max(thresholds, key=float)}"
    judge, hull = next(iter(zip(table["judge"], table["hull"], strict=True)), ("", ""))
    of_first = (table["judge"] == judge) & (table["hull"] == hull)
    table, more = _with_judges(table, of_first, family(judge, hull), is_sun)
    chosen = table[of_first & (table[is_sun] == "True")]
    worst = chosen[["e_above_hull_relaxed", *(name for name in more if name.startswith(OF_JUDGE))]]
    energy = worst.apply(pd.to_numeric, errors="coerce").max(axis=1, skipna=False)  # nan is last
    unknown = pd.to_numeric(chosen["e_above_hull_relaxed"], errors="coerce").isna()
    if unknown.any():
        name = chosen["id"][unknown].iloc[0]
        raise InputError(f"{path}: crystal {name} is S.U.N. without an energy above the hull; run `symmcd sun` again")
    chosen = chosen.iloc[np.lexsort((energy, chosen["doubts"] != ""))]
    if missing := [name for name in chosen["id"] if name not in frames]:
        where = ", ".join(map(str, relaxed))
        raise InputError(f"{path}: crystal {missing[0]} is not in {where}; the files come from different runs")
    more += [DRAFTS] if DRAFTS in chosen else []
    return (_without_duplicates(chosen, frames) if "draw" in chosen else chosen), more


def write_candidates(per_crystal: Path, relaxed: list[Path], output: Path, output_cifs: Path) -> list[dict[str, Any]]:
    """Write candidates.csv and its archive of CIFs; the rows.  See `symmcd.stages.candidates.run`.

    Raises:
        InputError: a file is missing or damaged, or a crystal of the table is not among the relaxed ones.
    """
    frames = frames_by_id(relaxed)
    chosen, more = read_candidates(per_crystal, frames, relaxed)
    names = chosen["id"].tolist()
    stems = dict(zip(names, file_stems(names), strict=True))
    tell_of_changes(names, list(stems.values()), str(output_cifs))
    files, detail = candidate_cifs(names, frames, stems)
    rows = [
        candidate_row(row, frames[row["id"]], more) | {"file": files[row["id"]][0], "detail": detail.get(row["id"], "")}
        for row in chosen.to_dict("records")
    ]
    write_zip(output_cifs, [files[name] for name in names])
    with atomic_path(output) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        place = COLUMNS.index("e_above_hull") + 1
        writer = csv.DictWriter(file, (*COLUMNS[:place], *more, *COLUMNS[place:]), lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(rows)
    return rows


def _with_judges(table: pd.DataFrame, of_first: pd.Series, kind: str, is_sun: str) -> tuple[pd.DataFrame, list[str]]:
    """`table` with the energies by each judge over one family of hulls, and the names of these columns.

    There is a column for each judge in the rows `of_first`; none if there is a single judge.  If not all judges have
    energies over hulls of this family, each judge's own hull is used.
    """
    families = pd.Series([family(*pair) for pair in zip(table["judge"], table["hull"], strict=True)], table.index)
    of_all = families[table["judge"] == ALL]
    if not len(of_all):
        return table, []
    kind = kind if kind in set(of_all) else OWN
    of_judge = {judge: rows.set_index("id") for judge, rows in table[families == kind].groupby("judge", sort=False)}
    together = of_judge.pop(ALL)
    columns = {
        f"{OF_JUDGE}{judge}": table["id"].map(rows["e_above_hull_relaxed"]).where(of_first, "")
        for judge, rows in of_judge.items()
    }
    columns["judges_spread"] = table["id"].map(together["judges_spread"])
    columns["sun_by_all"] = table["id"].map(together[is_sun])
    apart = table["id"].map(together["doubts"].str.split(";").map(lambda words: DISAGREE_WORD in words))
    doubts = [
        ";".join(word for word in WORDS if word in said.split(";") or (far and word == DISAGREE_WORD))
        for said, far in zip(table["doubts"], apart, strict=True)
    ]
    return table.assign(**columns, doubts=np.where(of_first, doubts, table["doubts"])), [*columns]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _without_duplicates(chosen: pd.DataFrame, frames: Mapping[str, Atoms]) -> pd.DataFrame:
    """Each crystal once, the first of those that match: every draw was judged by itself."""
    same = matching([to_structure(from_atoms(frames[name])) for name in chosen["id"]])
    first = first_matches(range(len(chosen)), same)
    return chosen[[first[place] is None for place in range(len(chosen))]]


def candidate_cifs(
    names: Sequence[str], frames: Mapping[str, Atoms], stems: Mapping[str, str]
) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    """Name and text of each crystal's CIF, and why those in P1 could not be reduced to their symmetry.

    CIFs are conventional standard cells, idealised to the symmetry found within 0.1 Å.
    """
    units: dict[str, AsymmetricUnit] = {}
    files, detail = {}, {}
    for name in names:
        try:
            units[name] = reduce(frames[name], SYMPREC)
        except SymmetryError as error:
            detail[name] = f"not reduced to its symmetry: {error}"
            files[name] = _as_it_is(stems[name], frames[name])
    if units:
        whole = AsymmetricUnits.from_units(list(units.values()), list(units))
        made = cifs(replicate_flat(whole), whole, [stems[name] for name in units])
        files |= dict(zip(units, made, strict=True))
    return files, detail


def candidate_row(row: dict[str, str], frame: Atoms, more: Sequence[str] = ()) -> dict[str, Any]:
    """Common content of both files for a crystal; `more` names further columns of `row`."""
    about = {key: row[key] for key in (*PASSED_ON, *more)}
    own = frame.info.get("energy_per_atom")
    return about | {
        "id": row["id"],
        "space_group": frame.info.get("space_group", ""),
        "space_group_relaxed": frame.info.get("space_group_relaxed") or "",
        "atoms": len(frame),
        "e_above_hull": row["e_above_hull_relaxed"],
        "energy_per_atom": row.get("energy_relaxed") or (f"{own:.6f}" if own is not None else ""),
    }


def _as_it_is(stem: str, frame: Atoms) -> tuple[str, str]:
    """Name and text of a CIF without symmetry."""
    formula = reduced_formula(Counter(frame.numbers.tolist()))
    return f"{stem}_{formula}_1.cif", p1_cif(f"{stem}_{formula}", from_atoms(frame))
