"""The table of crystals that S.U.N. is counted in: hull.csv, held against the files of the same run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from ase import Atoms
from pymatgen.core import Composition

from symmcd.crystallography.composition import SYMBOLS
from symmcd.errors import InputError
from symmcd.stability.doubts import doubts
from symmcd.stability.hull_entries import is_formula
from symmcd.stability.judges import ALL, judges_of, with_all_judges, with_doubts_of_all
from symmcd.stability.outcome import is_unread
from symmcd.structures.crystal_file import CrystalFile
from symmcd.tables import check_drawn, check_flags, check_ids, check_numbers, read_rows, without_nan

NEEDED = ("id", "hull", "status", "e_above_hull_initial", "e_above_hull_relaxed")
NUMBERS = (
    "e_above_hull_initial", "e_above_hull_relaxed", "energy_initial", "energy_relaxed", "hull_energy",
    "rms_displacement", "volume_change", "space_group_initial", "space_group_relaxed", "reference_entries", "drawn",
)  # fmt: skip


def crystals_of_hull(
    hull: Path,
    crystals: Path,
    given: CrystalFile,
    relaxed: Sequence[Path],
    frames: Mapping[str, Atoms],
    valid: Mapping[str, bool] | None,
) -> pd.DataFrame:
    """Rows per crystal, judge and hull: hull.csv with ``formula``, ``elements``, ``doubts`` and, if known, ``valid``.

    With several judges, also ``judges_spread`` and the rows of `symmcd.stability.judges.with_all_judges`.

    Args:
        hull: csv of `symmcd hull`.
        crystals: where `given` is from.
        given: crystals as they were generated.
        relaxed: where `frames` are from.
        frames: relaxed crystals by their id.
        valid: of each crystal by its id, as `read_valid` has it; None if it is not known.

    Raises:
        InputError: a table is missing or damaged, or one lacks a crystal that another has.
    """
    table = _read_hull(hull)
    generated = {name: _formula(given.composition(index)) for index, name in enumerate(given.ids)}
    _all_there(table["id"], generated, hull, [crystals])
    _same_run(table, hull, generated, crystals, frames, relaxed)
    table["elements"] = [len(generated[name]) for name in table["id"]]
    if "formula" not in table:
        table["formula"] = [generated[name].reduced_formula for name in table["id"]]
    if valid is not None:
        table["valid"] = table["id"].map(valid)
    table = with_all_judges(table)
    table["doubts"] = _doubts(table, hull)
    return with_doubts_of_all(table)


def _formula(composition: Mapping[int, int]) -> Composition:
    """Composition of atoms by atomic number."""
    return Composition({SYMBOLS[number - 1]: count for number, count in composition.items()})


def _read_hull(path: Path) -> pd.DataFrame:
    rows = read_rows(path, NEEDED, "hull")
    if not rows:
        raise InputError(f"{path}: no crystals; relax.number must be above 0")
    rows = [without_nan(row) for row in rows]
    check_numbers(path, rows, NUMBERS, "hull")
    for number, row in enumerate(rows, 1):
        named = row["id"] and row["hull"] and row.get("judge", "chgnet")
        if not named or not (is_formula(row.get("formula", "H")) or is_unread(row)):
            raise InputError(
                f"{path}, row {number}: id {row['id']!r}, hull {row['hull']!r}, formula {row.get('formula')!r}; run "
                "`symmcd hull` again"
            )
    # sound: pandas may take it for what it is
    texts = dict.fromkeys(("id", "judge", "formula"), str)
    table = pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=["", "nan"])
    if "draw" in table and not table["draw"].astype(str).str.fullmatch(r"[1-9]\d*").all():
        raise InputError(f"{path}: the column draw has {table['draw'].unique().tolist()}; run `symmcd relax` again")
    if "formula" in table:
        table["formula"] = table["formula"].fillna("")  # blank for a crystal that could not be read
    if "judge" not in table:  # table of an earlier version, which had one judge
        table["judge"] = judges_of(table["hull"])
    key = ["id", "judge", "hull"]
    if ALL in set(table["judge"]):
        raise InputError(f"{path}: a judge {ALL!r}, which is not a potential; run `symmcd hull` again")
    if table.duplicated(key).any():
        twice = int(np.argmax(table.duplicated(key)))
        raise InputError(
            f"{path}, row {twice + 1}: crystal {table['id'][twice]} appears twice; run `symmcd hull` again"
        )
    return table.sort_values("id", kind="stable", ignore_index=True)


def read_valid(paths: Sequence[Path], ids: Sequence[str], crystals: Path) -> dict[str, bool]:
    """Return whether each crystal of the tables is valid; one that could not be scored is not, as in the metrics.

    Args:
        paths: tables of `symmcd score`, one at least.
        ids: of all crystals that were generated.
        crystals: where these are from.

    Raises:
        InputError: an unreadable table, one without the columns, a crystal that appears twice, or other crystals.
    """
    valid: dict[str, bool] = {}
    for path in paths:
        rows = read_rows(path, ("id", "valid"), "score")
        check_flags(path, rows, ("valid",), "score")
        for number, row in enumerate(rows, 1):
            if row["id"] in valid:
                raise InputError(f"{path}, row {number}: crystal {row['id']} appears twice; give each shard once")
            valid[row["id"]] = row["valid"] == "True"
    check_ids(paths[0] if len(paths) == 1 else paths[0].parent, list(valid), ids, crystals, "score")
    return valid


def _doubts(table: pd.DataFrame, path: Path) -> list[str]:
    """`doubts` of each crystal, from the columns of the table.

    Raises:
        InputError: a decomposition that is none.
    """
    unknown = pd.Series(np.nan, index=table.index)
    doubtful = []
    for name, *values in zip(
        table["id"],
        table["formula"],
        table["e_above_hull_relaxed"].astype(float),
        table.get("decomposition", unknown).fillna("").astype(str),
        table.get("rms_displacement", unknown).astype(float),
        table.get("reference_entries", unknown).astype(float),
        table.get("own_reference", unknown).fillna("").astype(str),
        table.get("judges_spread", unknown).astype(float),
        strict=True,
    ):
        if not values[0]:  # could not be read
            doubtful.append("")
            continue
        try:
            doubtful.append(";".join(doubts(*values)))
        except (ValueError, IndexError) as error:
            raise InputError(f"{path}: crystal {name}: {error}; run `symmcd hull` again") from None
    return doubtful


def _same_run(
    table: pd.DataFrame,
    hull: Path,
    generated: Mapping[str, Composition],
    crystals: Path,
    frames: Mapping[str, Atoms],
    relaxed: Sequence[Path],
) -> None:
    """Refuse a hull.csv that lacks a relaxed crystal or tells of other crystals, or relaxed crystals that are lost."""
    ids = set(table["id"])
    where = ", ".join(map(str, relaxed))
    lost = [name for name in frames if name not in ids]
    if lost:
        raise InputError(
            f"{hull}: crystal {lost[0]} of {where} is missing ({len(lost)} of {len(frames)} are); run `symmcd hull` "
            "again"
        )
    for name, formula in zip(table["id"], table["formula"], strict=True):
        generated_formula = generated[name].reduced_formula
        if generated_formula != Composition(formula or {}).reduced_formula:
            raise InputError(
                f"{hull}: crystal {name} is {formula}, and {generated_formula} in "
                f"{crystals}; the files come from different runs"
            )
    _all_there(table.loc[table["e_above_hull_relaxed"].notna(), "id"], frames, hull, relaxed)
    for (judge, name), part in table.groupby(["judge", "hull"], sort=False):
        check_drawn(f"{hull}, judge {judge}, hull {name}", part["drawn"].tolist() if "drawn" in part else [])


def _all_there(
    names: Sequence[str] | pd.Series, frames: Mapping[str, object], hull: Path, paths: Sequence[Path]
) -> None:
    missing = [name for name in names if name not in frames]
    if missing:
        where = ", ".join(map(str, paths))
        raise InputError(f"{hull}: crystal {missing[0]} is not in {where}; the files come from different runs")
