"""Texts of tables and pages about sets whose crystals a stability model chose, each among several drafts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symmcd.crystallography.best_of import BestOf
from symmcd.errors import InputError
from symmcd.extensions import POTENTIALS

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {"oversample": "drafts", "stability_model": "stability_model", "labels_judge": "judge", "labels_hull": "hull"}
"""Columns of summary.csv and sun.csv, and the attributes of `BestOf` that they have.

Tables of crystals that were not chosen have none of them."""
TEXTS = tuple(COLUMNS)[1:]
DRAFTS = "oversample"
"""The only one of them in tables with a row per crystal."""

OF_BOTH = "Figures here describe generator and stability model together, not the generator alone."
NOTHING_PUBLISHED = (
    "Published systems do not choose in this way: their values are compared only with crystals that were not chosen"
    " (sampling.oversample = 1)."
)


def cells(best_of: BestOf | None) -> dict[str, Any]:
    """Values of `COLUMNS` for every row of a table; none where nothing was chosen."""
    return {} if best_of is None else {name: getattr(best_of, own) for name, own in COLUMNS.items()}


def with_drafts(table: pd.DataFrame, best_of: BestOf | None) -> pd.DataFrame:
    """A table of one row per crystal, with the number of drafts each was chosen from; as it is where nothing was."""
    return table if best_of is None else table.assign(**{DRAFTS: best_of.drafts})


def best_of_rows(rows: Iterable[Mapping[str, Any]], path: Path | str, stage: str) -> BestOf | None:
    """Read how a table's crystals were chosen; None for a table without the column ``oversample``, or with 1 in it.

    Args:
        rows: of the table, read or about to be written.
        path: of the table, for messages.
        stage: that writes it.

    Raises:
        InputError: rows that do not say the same, or say what cannot be.
    """
    found = {tuple(_text(row.get(name)) for name in COLUMNS) for row in rows}
    if found <= {("", "", "", ""), ("1", "", "", "")} and len(found) < 2:
        return None
    try:
        [(drafts, *names)] = found
        return BestOf(int(drafts), *names)
    except (ValueError, InputError):
        said = ", ".join(sorted(repr(row[0][:20]) for row in found))
        raise InputError(
            f"{path}: the column oversample has {said}, expected one number for all rows; run `symmcd {stage}` again"
        ) from None


def potential_name(name: str) -> str:
    """A potential as it is written, ``CHGNet``; its name in the registry where it is not installed here."""
    return POTENTIALS[name].label or name if name in POTENTIALS else name


def chosen(best_of: BestOf) -> str:
    """``the best of 20 drafts per crystal by a stability model, labels by CHGNet over the hull “table mp.csv”``."""
    by = f"labels by {potential_name(best_of.judge)}" if best_of.judge else "nobody knows whose labels"
    over = "its own hull" if best_of.hull in (best_of.judge, "own") else f"the hull “{best_of.hull}”"
    words = f"the best of {best_of.drafts} drafts per crystal by a stability model, {by}"
    return words + (f" over {over}" if best_of.hull else "")


def chosen_by(best_of: BestOf) -> str:
    """The same, with the beginning of the hash of the model, which tells two models with labels of one kind apart."""
    model = f" (stability model {best_of.stability_model[:12]})" if best_of.stability_model else ""
    return f"{chosen(best_of)}{model}"


def sentence(best_of: BestOf) -> str:
    """The same as a sentence, and what the figures then describe."""
    words = chosen_by(best_of)
    return f"{words[0].upper()}{words[1:]}. {OF_BOTH}"


def of_judges(best_of: BestOf, judges: Sequence[str]) -> str:
    """Note on judges for crystals that were chosen by labels of one of them; empty if no judge made labels.

    Args:
        best_of: how the crystals were chosen.
        judges: potentials by their names in the registry.
    """
    if best_of.judge not in judges:
        return ""
    others = [potential_name(judge) for judge in judges if judge != best_of.judge]
    text = (
        f"{potential_name(best_of.judge)} made the labels by which these crystals were chosen, so it is not "
        "an independent judge of them: the choice favours its errors too."
    )
    return text + (f" Rely on {' and '.join(others)}, which made no labels." if others else "")


def _text(value: Any) -> str:
    """A field, read by csv or by pandas; empty if it is blank or not there."""
    return "" if value is None or value != value else str(value)  # noqa: PLR0124  (nan)
