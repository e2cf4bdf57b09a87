"""Check that the tables of a results folder are of one run: each has the crystals, judges and hulls of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from symmcd.errors import InputError
from symmcd.stability.judge_words import several
from symmcd.stability.judges import ALL, family
from symmcd.tables import check_ids

if TYPE_CHECKING:
    from symmcd.report.load import Results


def check_crystals(results: Results) -> None:
    """Refuse tables of which one lacks a crystal, a judge or a hull that another has.

    Raises:
        InputError: naming the table and the first such crystal.
    """
    folder = results.folder
    generated, relaxed = results.generated.label.tolist(), results.relaxed["id"].tolist()
    per_crystal = folder / "metrics/per_crystal.csv"
    check_ids(per_crystal, results.per_crystal["id"].tolist(), generated, folder / "crystals/units.npz", "summarise")
    known = set(generated)
    if foreign := [name for name in relaxed if name not in known]:
        raise InputError(
            f"{folder / 'relaxed/relaxed.csv'}: crystal {foreign[0]} is not in "
            "crystals/units.npz; the files come from different runs"
        )
    _check_sun(results)
    for name, table, stage in (
        ("hull.csv", results.hull, "hull"),
        ("sun_per_crystal.csv", results.sun_per_crystal, "sun"),
    ):
        for (judge, hull), part in table.groupby(["judge", "hull"], sort=False):
            where = f"{folder / name}, judge {judge}, hull {hull}" if several(table) else folder / name
            check_ids(where, part["id"].tolist(), relaxed, folder / "relaxed/relaxed.csv", stage)
    _check_judges(results)
    _check_candidates(results)


def _check_sun(results: Results) -> None:
    """Refuse a sun.csv without a row of each judge, hull and threshold that sun_per_crystal.csv tells of."""
    rows = results.sun if "draw" not in results.sun else results.sun[results.sun["draw"] == "all"]
    there = set(zip(rows["judge"], rows["hull"], rows["threshold"].astype(float).round(6), strict=True))
    for judge, hull in _pairs(results.sun_per_crystal):
        for threshold in thresholds_of(results.sun_per_crystal):
            if (judge, hull, round(threshold, 6)) not in there:
                of = f"judge {judge!r} over the hull {hull!r}" if several(results.sun_per_crystal) else f"hull {hull!r}"
                raise InputError(
                    f"{results.folder / 'sun.csv'}: lacks the row of {of} at {threshold:g} eV/atom, which "
                    "sun_per_crystal.csv has; run `symmcd sun` again"
                )


def thresholds_of(per_crystal: Any) -> list[float]:
    """Thresholds of the columns of sun_per_crystal.csv."""
    return [float(name.removeprefix("sun_at_")) for name in per_crystal if name.startswith("sun_at_")]


def _check_judges(results: Results) -> None:
    """Refuse a sun_per_crystal.csv that was made before hull.csv had a judge, or lacks what several judges need."""
    path, table = results.folder / "sun_per_crystal.csv", results.sun_per_crystal
    there = set(_pairs(table))
    for judge, hull in _pairs(results.hull):
        if (judge, hull) not in there:
            raise InputError(
                f"{path}: lacks the judge {judge!r} over the hull {hull!r}, which hull.csv has; run `symmcd sun` again"
            )
    if several(table):
        for name in (f"relaxed_stable_at_{threshold:g}" for threshold in thresholds_of(table)):
            if name not in table:
                raise InputError(f"{path}: lacks the column {name}; run `symmcd sun` again")


def _check_candidates(results: Results) -> None:
    """Refuse a candidates.csv with a crystal that the first judge has not judged, or without a column of a judge."""
    path, table = results.folder / "candidates.csv", results.candidates
    of_first = results.hull[results.hull["judge"] == results.judges[0]]
    judged = set(zip(of_first["hull"], of_first["id"], strict=True))
    for hull, name in zip(table["hull"], table["id"], strict=True):
        if (hull, name) not in judged:
            raise InputError(
                f"{path}: crystal {name} over the hull {hull!r} is not in hull.csv; run `symmcd candidates` again"
            )
    if not len(table):
        return
    kind = family(results.judges[0], table["hull"].iloc[0])
    if (ALL, kind) in _pairs(results.sun_per_crystal):
        for name in [*(f"e_above_hull_{judge}" for judge in results.judges), "sun_by_all"]:
            if name not in table:
                raise InputError(f"{path}: lacks the column {name}; run `symmcd candidates` again")


def _pairs(table: Any) -> list[tuple[str, str]]:
    """Judge and hull of the rows of a table, each pair once."""
    return list(dict.fromkeys(zip(table["judge"], table["hull"], strict=True)))
