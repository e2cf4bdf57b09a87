"""Stage ``sun``: energies above the hull and structures → stable, unique, novel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from ase import Atoms
from pymatgen.core import Composition

from symmcd.crystallography.composition import SYMBOLS
from symmcd.errors import InputError
from symmcd.journal import Progress
from symmcd.metrics.intervals import wilson
from symmcd.metrics.matching import first_matches, same_crystals
from symmcd.metrics.originality import look_up
from symmcd.metrics.reference_set import ReferenceSet
from symmcd.settings import SunSettings
from symmcd.stability.doubts import doubts
from symmcd.stability.reference import is_formula
from symmcd.stability.sun import FIRST_COLUMNS, between_draws, judge, rates, stable
from symmcd.storage import atomic_path, read_units
from symmcd.structures.convert import from_atoms, to_structure
from symmcd.structures.crystal_set import read_crystal_set
from symmcd.structures.frames import frames_by_id
from symmcd.tables import check_drawn, check_flags, check_ids, check_numbers, read_rows, without_nan
from symmcd.workers import cores

NEEDED = ("id", "hull", "status", "e_above_hull_initial", "e_above_hull_relaxed")
NUMBERS = (
    "e_above_hull_initial", "e_above_hull_relaxed", "energy_initial", "energy_relaxed", "hull_energy",
    "rms_displacement", "volume_change", "space_group_initial", "space_group_relaxed", "reference_entries", "drawn",
)  # fmt: skip


def run(
    hull: Path,
    crystals: Path,
    relaxed: list[Path],
    train: Path,
    output: Path,
    per_crystal: Path,
    settings: SunSettings,
    known: Sequence[Path] = (),
    workers: int = 0,
    scores: Sequence[Path] = (),
) -> None:
    """Write the table of rates and the table of crystals.

    The denominator is every crystal drawn for relaxation, whatever became of it.  Uniqueness and novelty are those of
    the relaxed structures, by pymatgen's StructureMatcher with its defaults: uniqueness among the stable ones, novelty
    against the training set.  Only crystals that some threshold calls stable are compared (``compared``); of the
    others, and of those that could not be, nothing is said (``novel`` is blank).
    Where hull.csv has the column ``draw``, each draw is judged by itself, uniqueness included, and has rows of its own
    below those of all: there a crystal counts as in its draw, so that a rate of all is the mean of the draws, and
    ``*_sd`` is the standard deviation between them.
    S.U.N. crystals that match one of `known`, asymmetric units that were not trained on, are counted once more without
    those (``sun_elsewhere_new``; ``known_elsewhere`` of a crystal says which).
    Where `scores`, tables of `symmcd score`, say which crystals are valid (structure and composition as generated), so
    does ``valid``, and S.U.N. crystals are counted once more that are (``sun_valid``); and always those that nothing
    makes doubtful (``sun_undoubted``; ``doubts`` of a crystal, joined by semicolons, are those of `stability.doubts`).
    `crystals` is units.npz of `symmcd replicate`, or the extxyz file that was relaxed: elements are counted in it, and
    formulas compared.  Crystals are compared in `workers` processes, 0 = one a core.

    Raises:
        InputError: a table or file is missing or damaged, or one lacks a crystal that another has.
    """
    table = _read_hull(hull)
    given = read_crystal_set(crystals)
    generated = {name: _formula(given.composition(index)) for index, name in enumerate(given.ids)}
    _all_there(table["id"], generated, hull, [crystals])
    frames = frames_by_id(relaxed)
    _same_run(table, hull, generated, crystals, frames, relaxed)
    table["elements"] = [len(generated[name]) for name in table["id"]]
    if "formula" not in table:
        table["formula"] = [generated[name].reduced_formula for name in table["id"]]
    if scores:
        valid = _read_valid(scores)
        check_ids(scores[0] if len(scores) == 1 else scores[0].parent, list(valid), generated, crystals, "score")
        table["valid"] = table["id"].map(valid)
    table["doubts"] = _doubts(table, hull)
    table["compared"] = stable(
        table["e_above_hull_relaxed"].to_numpy(float), table["elements"].to_numpy(int), max(settings.thresholds),
        settings.min_elements,
    )  # fmt: skip
    candidates = list(dict.fromkeys(table.loc[table["compared"], "id"]))
    structures = [to_structure(from_atoms(frames[name])) for name in candidates]
    processes = workers or cores()
    with Progress(len(candidates), 0, "crystals") as progress:
        training, *others = (ReferenceSet(read_units(path)) for path in (train, *known))
        looked_up = look_up(structures, training, others, processes, progress.advance)
    found = dict(zip(candidates, looked_up, strict=True))
    problem = {name: f.problem for name, f in found.items() if f.problem}
    known_as = {name: f.known_as for name, f in found.items() if not f.problem}
    table["known_elsewhere"] = [found[name].elsewhere or "" if name in found else "" for name in table["id"]]
    comparable = [name for name in candidates if name not in problem]
    index = {name: i for i, name in enumerate(comparable)}
    same = same_crystals([s for s, f in zip(structures, looked_up, strict=True) if not f.problem], processes)

    def duplicates(names: Sequence[str]) -> dict[str, str | None]:
        first = first_matches((index[name] for name in names), same)
        return {comparable[i]: None if j is None else comparable[j] for i, j in first.items()}

    table["novel"] = [known_as[name] is None if name in known_as else np.nan for name in table["id"]]
    rows = []
    for threshold in settings.thresholds:
        parts = []
        for _, part in table.groupby("hull", sort=False):
            draws = list(part.groupby("draw")) if "draw" in part else [(None, part)]
            judged = []
            for _, drawn in draws:
                flags = judge(drawn, threshold, settings.min_elements, known_as, problem, duplicates)
                if scores:
                    flags["sun_valid"] = flags["sun"] & (drawn["valid"] == True)  # noqa: E712  (some are missing)
                flags["sun_undoubted"] = flags["sun"] & (drawn["doubts"] == "")
                if known:
                    flags["sun_elsewhere_new"] = flags["sun"] & (drawn["known_elsewhere"] == "")
                judged.append(flags)
            whole = rates(part, pd.concat(judged).loc[part.index], threshold, wilson)
            if "draw" in part:
                each = [
                    {**rates(drawn, flags, threshold, wilson), "draw": number}
                    for (number, drawn), flags in zip(draws, judged, strict=True)
                ]
                rows += [{**whole, **between_draws(each)}, *each]
            else:
                rows.append(whole)
            parts += judged
        table = table.join(pd.concat(parts).add_suffix(f"_at_{threshold:g}"))
    hulls = list(dict.fromkeys(table["hull"]))
    # stable: thresholds in the order of the settings, then the draws in theirs, after what is of all draws
    rows.sort(key=lambda row: (row.get("draw", "all") != "all", hulls.index(row["hull"])))
    table = table[[*FIRST_COLUMNS, *(name for name in table.columns if name not in FIRST_COLUMNS)]]
    for path, content in ((per_crystal, table), (output, pd.DataFrame(rows))):
        with atomic_path(path) as temporary:
            content.to_csv(temporary, index=False, lineterminator="\n")
    print(f"wrote {per_crystal} ({table['id'].nunique()} crystals)")
    protocols = sum(row.get("draw", "all") == "all" for row in rows)
    of_draws = f", each also of {table['draw'].nunique()} draws" if "draw" in table else ""
    print(f"wrote {output} ({protocols} protocols{of_draws})")


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
        if not row["id"] or not row["hull"] or not is_formula(row.get("formula", "H")):
            raise InputError(
                f"{path}, row {number}: id {row['id']!r}, hull {row['hull']!r}, formula {row.get('formula')!r}; run "
                "`symmcd hull` again"
            )
    # sound: pandas may take it for what it is
    table = pd.read_csv(path, dtype={"id": str, "formula": str}, keep_default_na=False, na_values=["", "nan"])
    if "draw" in table and not table["draw"].astype(str).str.fullmatch(r"[1-9]\d*").all():
        raise InputError(f"{path}: the column draw has {table['draw'].unique().tolist()}; run `symmcd relax` again")
    if table.duplicated(["id", "hull"]).any():
        twice = int(np.argmax(table.duplicated(["id", "hull"])))
        raise InputError(
            f"{path}, row {twice + 1}: crystal {table['id'][twice]} is there twice; run `symmcd hull` again"
        )
    return table.sort_values("id", kind="stable", ignore_index=True)


def _read_valid(paths: Sequence[Path]) -> dict[str, bool]:
    """Whether each crystal of the tables is valid; one that could not be scored is not, as in the metrics.

    Raises:
        InputError: an unreadable table, one without the columns, or a crystal that is there twice.
    """
    valid: dict[str, bool] = {}
    for path in paths:
        rows = read_rows(path, ("id", "valid"), "score")
        check_flags(path, rows, ("valid",), "score")
        for number, row in enumerate(rows, 1):
            if row["id"] in valid:
                raise InputError(f"{path}, row {number}: crystal {row['id']} is there twice; give each shard once")
            valid[row["id"]] = row["valid"] == "True"
    return valid


def _doubts(table: pd.DataFrame, path: Path) -> list[str]:
    """`doubts` of each crystal, by what the table says of it.

    Raises:
        InputError: a decomposition that is none.
    """
    unknown = pd.Series(np.nan, index=table.index)
    found = []
    for name, *values in zip(
        table["id"],
        table["formula"],
        table["e_above_hull_relaxed"].astype(float),
        table.get("decomposition", unknown).fillna("").astype(str),
        table.get("rms_displacement", unknown).astype(float),
        table.get("reference_entries", unknown).astype(float),
        table.get("own_reference", unknown).fillna("").astype(str),
        strict=True,
    ):
        try:
            found.append(";".join(doubts(*values)))
        except (ValueError, IndexError) as error:
            raise InputError(f"{path}: crystal {name}: {error}; run `symmcd hull` again") from None
    return found


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
        found = generated[name].reduced_formula
        if found != Composition(formula).reduced_formula:
            raise InputError(
                f"{hull}: crystal {name} is {formula}, and {found} in {crystals}; the files are of different runs"
            )
    _all_there(table.loc[table["e_above_hull_relaxed"].notna(), "id"], frames, hull, relaxed)
    for name, part in table.groupby("hull", sort=False):
        check_drawn(f"{hull}, hull {name}", part["drawn"].tolist() if "drawn" in part else [])


def _all_there(
    names: Sequence[str] | pd.Series, frames: Mapping[str, object], hull: Path, paths: Sequence[Path]
) -> None:
    missing = [name for name in names if name not in frames]
    if missing:
        where = ", ".join(map(str, paths))
        raise InputError(f"{hull}: crystal {missing[0]} is not in {where}; the files are of different runs")
