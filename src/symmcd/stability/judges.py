"""Several judges of the same crystals: their differences, and their common verdict.

Each judge is compared with hulls on its own scale (`above_hull`).  Judges can be compared over a *family* of hulls:
`OWN`, each judge over the hull of its own energies; or one table of DFT energies, the same for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from symmcd.extensions import POTENTIALS
from symmcd.stability.doubts import WORDS

ALL = "all"  # the judge of rows that say what all judges say together
OWN = "own"  # the hull there: each judge's own
ENERGIES = ("e_above_hull_initial", "e_above_hull_relaxed")
OF_ONE_JUDGE = ("energy_initial", "energy_relaxed", "hull_energy", "decomposition")


def family(judge: str, hull: str) -> str:
    """The family that a hull of a judge belongs to."""
    return OWN if hull == judge else hull


def judges_of(hulls: Iterable[str], potential: str = "chgnet") -> list[str]:
    """Judge of each row of a table of an earlier version: that has no such column, as there was a single judge.

    Args:
        hulls: their names; a hull of a potential's energies has its name.
        potential: that relaxed the crystals, which judged over all other hulls.
    """
    return [name if name in POTENTIALS else potential for name in hulls]


def families(table: pd.DataFrame) -> Iterator[tuple[str, dict[str, pd.DataFrame]]]:
    """Families of hulls that every judge of `table` has been held against, each with the rows of each judge."""
    parts: dict[str, dict[str, pd.DataFrame]] = {}
    for (judge, hull), rows in table.groupby(["judge", "hull"], sort=False):
        parts.setdefault(family(judge, hull), {})[judge] = rows
    judges = table["judge"].nunique()
    yield from ((name, of_judge) for name, of_judge in parts.items() if len(of_judge) == judges)


def with_all_judges(table: pd.DataFrame) -> pd.DataFrame:
    """`table` with the column ``judges_spread``, and below it rows of the judge `ALL` for each family of hulls.

    ``judges_spread`` is the largest minus the smallest of the judges' relaxed energies above the hulls of one family,
    eV/atom; infinite if only some judges have an energy, nan if none has.  In rows of `ALL` the energy above the hull
    is that of the judge which calls the crystal least stable, so a crystal is stable there if it is stable by all; nan
    if one judge has no energy.

    Args:
        table: one row per crystal, judge and hull; `symmcd.stability.doubts` are not in it yet.

    Returns:
        The same rows if there is a single judge, without the column.
    """
    if table["judge"].nunique() < 2:
        return table
    table = table.assign(judges_spread=np.nan)
    together = []
    for name, of_judge in families(table):
        first = next(iter(of_judge.values())).set_index("id", drop=False)
        energies = {
            column: pd.DataFrame({judge: rows.set_index("id")[column] for judge, rows in of_judge.items()})
            for column in ENERGIES
        }
        relaxed = energies["e_above_hull_relaxed"].loc[first.index]
        spread = (relaxed.max(axis=1) - relaxed.min(axis=1)).round(6)
        spread[relaxed.isna().any(axis=1) & relaxed.notna().any(axis=1)] = np.inf
        for rows in of_judge.values():
            table.loc[rows.index, "judges_spread"] = spread.loc[rows["id"]].to_numpy()
        worst = {column: values.loc[first.index].max(axis=1, skipna=False) for column, values in energies.items()}
        blank = {column: np.nan for column in OF_ONE_JUDGE if column in first}
        about = first.assign(**worst, **blank, judge=ALL, hull=name, judges_spread=spread)
        about["status"] = _statuses(of_judge, relaxed)
        for column in ("reference_entries", "own_reference"):
            if column in first:
                about[column] = _of_all(column, of_judge, first.index)
        together.append(about)
    return pd.concat([table, *together], ignore_index=True)


def with_doubts_of_all(table: pd.DataFrame) -> pd.DataFrame:
    """`table` with every doubt that a judge of the family has in the rows of `ALL`, in the order of `WORDS`.

    A spread that is infinite has made its doubt, and is nan then.
    """
    of_all = table["judge"] == ALL
    if not of_all.any():
        return table
    table = table.assign(judges_spread=table["judges_spread"].replace(np.inf, np.nan))
    said: dict[tuple[str, str], set[str]] = {}
    names = [family(judge, hull) for judge, hull in zip(table["judge"], table["hull"], strict=True)]
    for key, words in zip(zip(names, table["id"], strict=True), table["doubts"], strict=True):
        said.setdefault(key, set()).update(filter(None, words.split(";")))
    joined = [";".join(word for word in WORDS if word in said[key]) for key in zip(names, table["id"], strict=True)]
    return table.assign(doubts=np.where(of_all, joined, table["doubts"]))


def _statuses(of_judge: dict[str, pd.DataFrame], relaxed: pd.DataFrame) -> pd.Series:
    """Status of each crystal: that of the first judge without an energy of it, or of the first judge."""
    statuses = pd.DataFrame({judge: rows.set_index("id")["status"] for judge, rows in of_judge.items()})
    statuses = statuses.loc[relaxed.index]
    which = np.argmax(relaxed.isna().to_numpy(), axis=1)  # 0 where all have one
    return pd.Series(statuses.to_numpy()[np.arange(len(which)), which], index=relaxed.index)


def _of_all(column: str, of_judge: dict[str, pd.DataFrame], ids: pd.Index) -> pd.Series:
    """The fewest entries that a hull of the family has beside a crystal; the first entry that is the crystal itself."""
    values = pd.DataFrame({judge: rows.set_index("id")[column] for judge, rows in of_judge.items()}).loc[ids]
    if column == "reference_entries":
        return values.min(axis=1)
    known = values.notna().to_numpy()
    which = np.argmax(known, axis=1)  # 0 where none has one
    return pd.Series(values.to_numpy()[np.arange(len(which)), which], index=ids)
