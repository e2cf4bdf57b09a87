"""Stage ``sun``: energies above the hull and structures → stable, unique, novel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from pymatgen.core import Structure

from symmcd.errors import InputError
from symmcd.metrics.uniqueness import Novelty, first_of_its_kind
from symmcd.settings import SunSettings
from symmcd.stability.sun import stable, sun_rows
from symmcd.storage import atomic_path, read_units
from symmcd.structures.write import read_extxyz


def run(
    hull: Path, crystals: Path, relaxed: list[Path], train: Path, output: Path, per_crystal: Path, settings: SunSettings
) -> None:
    """Write the table of rates and the table of crystals.

    The denominator is every crystal drawn for relaxation, whatever became of it.  Uniqueness and novelty are those of
    the relaxed structures, by pymatgen's StructureMatcher with its defaults; uniqueness among the stable ones, novelty
    against the training set.  Crystals that no threshold calls stable are not compared (``unique`` and ``novel`` empty).

    Raises:
        InputError: a table or file is missing or damaged, or a crystal of hull.csv is in none of the others.
    """
    try:
        table = pd.read_csv(hull, dtype={"id": str, "formula": str}, keep_default_na=False, na_values=[""])
    except (OSError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{hull}: not a readable table ({error}); run `symmcd hull` again") from None
    if not len(table):
        raise InputError(f"{hull}: no crystals; relax.number must be above 0")
    known = {frame.info["id"] for frame in read_extxyz(crystals)}
    missing = [name for name in table["id"] if name not in known]
    if missing:
        raise InputError(f"{hull}: crystal {missing[0]} is not in {crystals}; the two are of different runs")
    structures = {
        frame.info["id"]: Structure(frame.cell.array, frame.numbers.tolist(), frame.positions, coords_are_cartesian=True)
        for path in relaxed
        for frame in read_extxyz(path)
    }
    table["elements"] = [_number_of_elements(formula) for formula in table["formula"]]
    novelty = Novelty(read_units(train))
    highest = max(settings.thresholds)
    candidate = stable(table["e_above_hull_relaxed"].to_numpy(float), table["elements"].to_numpy(int), highest, settings.min_elements)
    novel_of = {name: novelty.is_new(structures[name]) for name in dict.fromkeys(table["id"][candidate])}
    table["novel"] = [novel_of.get(name, False) and bool(c) for name, c in zip(table["id"], candidate, strict=True)]
    for threshold in settings.thresholds:
        column = pd.Series(data=False, index=table.index)
        for _, part in table.groupby("hull", sort=False):
            chosen = part.index[
                stable(part["e_above_hull_relaxed"].to_numpy(float), part["elements"].to_numpy(int), threshold, settings.min_elements)
            ]
            column.loc[chosen] = first_of_its_kind([structures[name] for name in table.loc[chosen, "id"]])
        table[f"unique_at_{threshold:g}"] = column
    rows = pd.DataFrame(sun_rows(table, settings.thresholds, settings.min_elements))
    for threshold in settings.thresholds:
        is_stable = stable(table["e_above_hull_relaxed"].to_numpy(float), table["elements"].to_numpy(int), threshold, settings.min_elements)
        table[f"sun_at_{threshold:g}"] = is_stable & table[f"unique_at_{threshold:g}"] & table["novel"]
    table["compared"] = np.asarray(candidate)
    for path, content in ((per_crystal, table), (output, rows)):
        with atomic_path(path) as temporary:
            content.to_csv(temporary, index=False, lineterminator="\n")
    print(f"wrote {per_crystal} ({len(table)} crystals)")
    print(f"wrote {output} ({len(rows)} protocols)")


def _number_of_elements(formula: str) -> int:
    from pymatgen.core import Composition

    return len(Composition(formula))
