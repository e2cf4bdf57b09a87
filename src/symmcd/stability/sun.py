"""Stable, unique, novel: flags of each crystal and rates with intervals (paper, Table 3; FlowMM's protocol)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from symmcd.metrics.intervals import wilson
from symmcd.stability.rate_names import MORE_RATES, RATES
from symmcd.stability.sun_comparison import Comparison

FIRST_COLUMNS = ("id", "judge", "hull", "status", "formula", "elements", "e_above_hull_initial", "e_above_hull_relaxed")


def stable(e_above_hull: np.ndarray, elements: np.ndarray, threshold: float, min_elements: int) -> np.ndarray:
    """Return whether each crystal is at most `threshold` eV/atom above the hull.

    Unknown energies (nan: failed relaxation, no reference) and crystals of fewer than `min_elements` are not stable.
    """
    with np.errstate(invalid="ignore"):
        return (e_above_hull <= threshold) & (elements >= min_elements)


def judge(
    part: pd.DataFrame,
    threshold: float,
    min_elements: int,
    known_as: Mapping[str, str | None],
    problem: Mapping[str, str],
    first_matches: Callable[[Sequence[str]], Mapping[str, str | None]],
) -> pd.DataFrame:
    """Flags of `RATES` of each crystal at one threshold over one hull, and its ``outcome``.

    ``stable_unique``: the first of the stable crystals that match it.  ``sun``: stable and novel, and the first of such
    crystals that match it; novelty comes before duplicates, as in FlowMM, so that a crystal is not lost to one that the
    training set has.  ``outcome`` is ``sun``, or why not: ``no_energy:<status>``, ``element``, ``above_hull``,
    ``not_compared:<reason>``, ``in_train:<label>``, ``duplicate_of:<id>``.

    Args:
        part: one row per crystal, with `FIRST_COLUMNS`.
        threshold: eV/atom.
        min_elements: see `stable`.
        known_as: training crystal that a stable crystal matches after relaxation, None for none.
        problem: why a stable crystal could not be compared, of those that could not.
        first_matches: for each of some crystals the first one kept before it that it matches, or None.
    """
    names, elements = part["id"].to_numpy(str), part["elements"].to_numpy(int)
    initial, relaxed = (part[f"e_above_hull_{when}"].to_numpy(float) for when in ("initial", "relaxed"))
    is_stable = stable(relaxed, elements, threshold, min_elements)
    comparable = [name for name in names[is_stable].tolist() if name not in problem]
    novel = [name for name in comparable if known_as[name] is None]
    among_stable, among_novel = first_matches(comparable), first_matches(novel)
    outcomes = []
    for row, name, known, enough in zip(
        part.to_dict("records"), names, is_stable, elements >= min_elements, strict=True
    ):
        if known:
            outcomes.append(_outcome(str(name), known_as, problem, among_novel))
        elif np.isnan(row["e_above_hull_relaxed"]):
            outcomes.append(f"no_energy:{row['status']}")
        else:
            outcomes.append("above_hull" if enough else "element")
    flags = {
        "initially_stable": stable(initial, elements, threshold, min_elements),
        "relaxed_stable": is_stable,
        "stable_unique": [name in among_stable and among_stable[name] is None for name in names],
        "stable_novel": np.isin(names, novel),
        "sun": [outcome == "sun" for outcome in outcomes],
        "outcome": outcomes,
    }
    return pd.DataFrame(flags, index=part.index)


def _outcome(
    name: str, known_as: Mapping[str, str | None], problem: Mapping[str, str], among_novel: Mapping[str, str | None]
) -> str:
    if name in problem:
        return f"not_compared:{problem[name]}"
    if known_as[name] is not None:
        return f"in_train:{known_as[name]}"
    return "sun" if among_novel[name] is None else f"duplicate_of:{among_novel[name]}"


def rates(
    part: pd.DataFrame, flags: pd.DataFrame, threshold: float, interval: Callable[[int, int], tuple[float, float]]
) -> dict[str, Any]:
    """Row of sun.csv: percentages of all crystals of `part`, failed relaxations included, with 95 % intervals.

    Where `part` has what relaxation did: how many have the same space group before and after, and medians of the r.m.s.
    displacement (Å) and of the amount of the relative change of volume.

    Args:
        part: one row per crystal, of one judge and hull.
        flags: what `judge` says of them, perhaps with some of `MORE_RATES`.
        threshold: eV/atom.
        interval: of a share, from successes and total.
    """
    total = len(part)
    row: dict[str, Any] = {
        "protocol": "paper" if threshold == 0 else "metastable",
        "judge": part["judge"].iloc[0],
        "hull": part["hull"].iloc[0],
        "threshold": threshold,
        "n": total,
        "n_with_energy": int(part["e_above_hull_relaxed"].notna().sum()),
    }
    counts = {name: int(flags[name].sum()) for name in (*RATES, *MORE_RATES) if name in flags}
    if "space_group_relaxed" in part:
        counts["symmetry_kept"] = int((part["space_group_relaxed"] == part["space_group_initial"]).sum())
    for name, count in counts.items():
        low, high = interval(count, total)
        row |= {k: round(100 * v, 3) for k, v in ((name, count / total), (f"{name}_low", low), (f"{name}_high", high))}
    for name in ("rms_displacement", "volume_change"):
        if name in part:
            values = part[name].astype(float).abs().dropna()
            row[f"{name}_median"] = round(float(values.median()), 5) if len(values) else np.nan
    return row


def between_draws(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Columns of the row over all draws beside its rates: ``draw`` = all, ``draws``, and ``*_sd`` of each rate.

    Args:
        rows: those of `rates`, one per draw.

    Returns:
        Standard deviations in points of per cent, of a single draw (n - 1); nan of one draw.
    """
    more: dict[str, Any] = {"draw": "all", "draws": len(rows)}
    for name in rows[0]:
        if f"{name}_low" in rows[0]:
            values = [row[name] for row in rows]
            more[f"{name}_sd"] = round(float(np.std(values, ddof=1)), 3) if len(rows) > 1 else np.nan
    return more


def stable_ones(table: pd.DataFrame, threshold: float, min_elements: int) -> list[str]:
    """Ids of the crystals that are `stable` over some hull; the column ``compared`` of `table` says it of each row."""
    energies, elements = table["e_above_hull_relaxed"].to_numpy(float), table["elements"].to_numpy(int)
    table["compared"] = stable(energies, elements, threshold, min_elements)
    return list(dict.fromkeys(table.loc[table["compared"], "id"]))


def judged(
    table: pd.DataFrame, comparison: Comparison, thresholds: Sequence[float], min_elements: int, *, with_known: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Table of crystals with the flags of each threshold, and table of rates: a row per protocol, judge, hull, draw.

    Whether a crystal was stable as it was generated is blank for all judges but the first, which see relaxed ones only.

    Args:
        table: of `sun_table.crystals_of_hull`, with ``compared``.
        comparison: of the crystals with each other and with the sets.
        thresholds: eV/atom.
        min_elements: see `stable`.
        with_known: count once more without what matches known crystals that were not trained on.
    """
    table["known_elsewhere"] = [comparison.elsewhere.get(name, "") for name in table["id"]]
    known_as = comparison.known_as
    table["novel"] = [known_as[name] is None if name in known_as else np.nan for name in table["id"]]
    rows: list[dict[str, Any]] = []
    of_further = table["judge"] != table["judge"].iloc[0]  # judges of relaxed crystals only
    for threshold in thresholds:
        parts = []
        for _, part in table.groupby(["judge", "hull"], sort=False):
            draws = list(part.groupby("draw")) if "draw" in part else [(None, part)]
            flags = [_flags(drawn, threshold, min_elements, comparison, with_known=with_known) for _, drawn in draws]
            whole = rates(part, pd.concat(flags).loc[part.index], threshold, wilson)
            if "draw" in part:
                each = [
                    {**rates(drawn, own, threshold, wilson), "draw": number}
                    for (number, drawn), own in zip(draws, flags, strict=True)
                ]
                rows += [{**whole, **between_draws(each)}, *each]
            else:
                rows.append(whole)
            parts += flags
        together = pd.concat(parts).add_suffix(f"_at_{threshold:g}")
        as_generated = f"initially_stable_at_{threshold:g}"
        if of_further.any():
            together[as_generated] = together[as_generated].astype(object).mask(of_further, np.nan)
        table = table.join(together)
    order = list(dict.fromkeys(zip(table["judge"], table["hull"], strict=True)))
    for row in rows:
        if row["judge"] != order[0][0]:
            row |= {name: np.nan for name in row if name.startswith("initially_stable")}
    # stable: thresholds in the order of the settings, then the draws in theirs, after what is of all draws
    rows.sort(key=lambda row: (row.get("draw", "all") != "all", order.index((row["judge"], row["hull"]))))
    table = table[[*FIRST_COLUMNS, *(name for name in table.columns if name not in FIRST_COLUMNS)]]
    return table, pd.DataFrame(rows)


def _flags(
    drawn: pd.DataFrame, threshold: float, min_elements: int, comparison: Comparison, *, with_known: bool
) -> pd.DataFrame:
    """Flags of `judge`, and those of `MORE_RATES` that are known."""
    flags = judge(drawn, threshold, min_elements, comparison.known_as, comparison.problem, comparison.duplicates)
    if "valid" in drawn:
        flags["sun_valid"] = flags["sun"] & (drawn["valid"] == True)  # noqa: E712  (some are missing)
    flags["sun_undoubted"] = flags["sun"] & (drawn["doubts"] == "")
    if with_known:
        flags["sun_elsewhere_new"] = flags["sun"] & (drawn["known_elsewhere"] == "")
    return flags
