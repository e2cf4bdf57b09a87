"""Judges and their hulls in words, and the order in which rows of sun.csv stand side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from symmcd.extensions import POTENTIALS
from symmcd.metrics.oversampling import potential_name
from symmcd.stability.judges import ALL, OWN, family


def judge_name(judge: str) -> str:
    """``CHGNet``, ``all judges``; the name in the registry of a potential that is not installed here."""
    if judge == ALL:
        return "all judges"
    return potential_name(judge)


def judge_sentence(judge: str) -> str:
    """Description of the potential."""
    return POTENTIALS[judge].sentence if judge in POTENTIALS else f"the potential {judge}"


def listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def hull_name(judge: str, hull: str) -> str:
    """``own hull``, or the name of a hull that is the same for all judges."""
    return "own hull" if family(judge, hull) == OWN else hull


def over(judge: str, hull: str) -> str:
    """``CHGNet over its own hull``."""
    own = "their own hulls" if judge == ALL else "its own hull"
    return f"{judge_name(judge)} over {own if family(judge, hull) == OWN else hull}"


def several(rows: Any) -> bool:
    """Return whether a table (data frame) has rows of several judges."""
    return bool(rows["judge"].nunique() > 1)


def naming(judges: Iterable[str]) -> Callable[[Mapping[str, Any]], str]:
    """Name of a row of sun.csv: its hull, and also its judge if `judges` of all rows are several."""
    if len(set(judges)) > 1:
        return lambda row: over(row["judge"], row["hull"])
    return lambda row: str(row["hull"])


def side_by_side(sun: Any) -> Any:
    """Rows of all draws together; those of several judges that can be compared, one below the other.

    With a single judge: all rows, as they are.
    """
    if not several(sun):
        return sun
    rows = sun[sun["draw"] == "all"] if "draw" in sun else sun
    kinds, judges = kinds_of(rows), list(dict.fromkeys(rows["judge"]))
    order = sorted(
        range(len(rows)),
        key=lambda i: (
            list(dict.fromkeys(kinds)).index(kinds[i]), rows["threshold"].iloc[i], judges.index(rows["judge"].iloc[i]),
        ),
    )  # fmt: skip
    return rows.iloc[order]


def kinds_of(rows: Any) -> list[str]:
    """The family of hulls of each row of a table."""
    return [family(judge, hull) for judge, hull in zip(rows["judge"], rows["hull"], strict=True)]
