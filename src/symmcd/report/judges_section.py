"""Section on several judges of the same crystals: rates by each and by all, and where they agree."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from symmcd.metrics.paper_tables import spread_of
from symmcd.report import run_figures
from symmcd.report.consistency import thresholds_of
from symmcd.report.load import Results
from symmcd.report.page import PlacedFigure, Table, Text, place
from symmcd.report.sections import chosen_remark
from symmcd.report.values import shown
from symmcd.stability.doubts import DISAGREE
from symmcd.stability.judge_words import hull_name, judge_name, kinds_of, listed, side_by_side
from symmcd.stability.judges import ALL, OWN, families, family

MEANING = (
    "{judges} judge the same crystals, which {first} has relaxed. Potentials err, and an error that puts a crystal too"
    " low in energy looks like stability. A crystal that every judge calls stable does not owe that to an error of one"
    " of them alone. It is not proved stable: potentials that learned from similar data make similar errors. A judge’s"
    " “own hull” is made of reference crystals whose energies come from that judge too."
)


@dataclass(frozen=True, eq=False)
class Pair:
    """Two judges over hulls of one kind, and the crystals that both have an energy of."""

    judges: tuple[str, str]
    kind: str  # family of the hulls
    energies: np.ndarray  # (2, n) relaxed, eV/atom above the hull
    stable: dict[float, np.ndarray]  # threshold → (2, n) whether each judge calls a crystal stable
    total: int  # crystals drawn

    def shares(self, threshold: float) -> tuple[float, float, float, float]:
        """Per cent of the n crystals: stable by both, only by the first, only by the second, by neither."""
        first, second = self.stable[threshold]
        parts = (first & second, first & ~second, ~first & second, ~first & ~second)
        both, only_first, only_second, neither = (100 * float(part.mean()) if len(part) else nan for part in parts)
        return both, only_first, only_second, neither

    @property
    def apart(self) -> float:
        """Per cent of the n crystals whose energies differ by more than `DISAGREE`."""
        differ = np.abs(self.energies[0] - self.energies[1]) > DISAGREE
        return 100 * float(differ.mean()) if len(differ) else nan

    @property
    def hull(self) -> str:
        """The hulls in words."""
        return "own hulls" if self.kind == OWN else self.kind


def pairs(results: Results) -> Iterator[Pair]:
    """Every two judges over hulls of every kind that both have been held against."""
    table = results.sun_per_crystal
    thresholds = sorted(thresholds_of(table))
    for judges in itertools.combinations(results.judges, 2):
        for kind, of_judge in families(table[table["judge"].isin(judges)]):
            first, second = (of_judge[judge].set_index("id") for judge in judges)
            second = second.loc[first.index]
            energies = np.array([part["e_above_hull_relaxed"].to_numpy(float) for part in (first, second)])
            known = np.isfinite(energies).all(axis=0)
            stable = {
                threshold: np.array(
                    [part[f"relaxed_stable_at_{threshold:g}"].astype(str) == "True" for part in (first, second)]
                )[:, known]
                for threshold in thresholds
            }
            yield Pair(judges, kind, energies[:, known], stable, len(first))


def meaning(results: Results) -> str:
    """Explain several judges, in a paragraph."""
    names = [judge_name(judge) for judge in results.judges]
    return MEANING.format(judges=listed(names), first=names[0])


def rates_table(results: Results) -> Table:
    """Stable and S.U.N. by each judge over each hull, and by all judges together."""
    rows = side_by_side(results.sun)
    thresholds = sorted(set(rows["threshold"].astype(float)))
    shares = [(threshold, rate) for threshold in thresholds for rate in ("relaxed_stable", "sun")]
    by_threshold = {
        (kind, row["judge"], float(row["threshold"])): row
        for kind, (_, row) in zip(kinds_of(rows), rows.iterrows(), strict=True)
    }
    lines: list[Sequence[Text]] = []
    for kind, judge in dict.fromkeys((kind, judge) for kind, judge, _ in by_threshold):
        own = {threshold: by_threshold[kind, judge, threshold] for threshold in thresholds}
        first = own[thresholds[0]]
        cells = [_rate_cell(own[threshold], rate) for threshold, rate in shares]
        name: Text = Markup("<b>{}</b>").format(judge_name(judge)) if judge == ALL else judge_name(judge)
        if results.best_of is not None and judge == results.best_of.judge:
            name = Markup("{}<small>made the labels, no independent judge</small>").format(name)
        lines.append((name, hull_name(judge, first["hull"]), f"{int(first['n']):,}", *cells))
    caption = Markup(
        "<b>By each judge and by all,</b> per cent of n after relaxation with 95 % intervals{}; ≤ 0.1: at most 0.1"
        " eV/atom above the hull. “All judges”: stable by every one of them. A crystal of which a judge has no energy"
        " stays in n and is not stable by it.{}"
    ).format(", standard deviation (sd) between draws" if "draw" in rows else "", chosen_remark(results))
    words = {"relaxed_stable": "stable", "sun": "S.U.N."}
    head = ("judge", "hull", "n", *(f"{words[rate]} ≤ {threshold:g}" for threshold, rate in shares))
    return Table(caption, head, lines, numbers=frozenset(range(2, len(head))), kind="stack")


def _rate_cell(row: Any, rate: str) -> Text:
    value, interval = shown(row[rate], row[f"{rate}_low"], row[f"{rate}_high"], "%")
    spread = spread_of(row, rate)
    return Markup("{}<small>{}{}</small>").format(value, interval, f"; sd {spread}" if spread else "")


def agreement_table(results: Results) -> Table:
    """Frequency with which two judges agree that a crystal is stable, and with which their energies are far apart."""
    lines: list[Sequence[Text]] = []
    found = list(pairs(results))
    for pair in found:
        names = [judge_name(judge) for judge in pair.judges]
        for threshold in pair.stable:
            shares = [shown(share, nan, nan, "%")[0] for share in (*pair.shares(threshold), pair.apart)]
            lines.append((listed(names), pair.hull, f"{threshold:g}", f"{pair.energies.shape[1]:,}", *shares))
    alone = ["only by the first", "only by the second"]
    if len({pair.judges for pair in found}) == 1:
        alone = [f"only by {judge_name(judge)}" for judge in found[0].judges]
    caption = Markup(
        "<b>Where two judges agree,</b> per cent of the n crystals that both have an energy of: stable after relaxation"
        " by both, by one, by neither; and those whose energies above the hull differ by more than {:g} eV/atom.{}"
    ).format(DISAGREE, chosen_remark(results))
    head = ("judges", "hull", "eV/atom", "n", "stable by both", *alone, "by neither", f"differ by > {DISAGREE:g}")
    return Table(caption, head, lines, numbers=frozenset(range(2, len(head))), kind="stack")


def figures(results: Results, folder: Path) -> list[PlacedFigure]:
    """The first judge's energies against those of each other judge, over hulls of each kind."""
    against = [pair for pair in pairs(results) if pair.judges[0] == results.judges[0]]
    remark = chosen_remark(results)
    return [_figure(pair, folder, f"judges_{number}", remark) for number, pair in enumerate(against, 1)]


def _figure(pair: Pair, folder: Path, name: str, remark: str) -> PlacedFigure:
    first, second = (judge_name(judge) for judge in pair.judges)
    shares = {threshold: pair.shares(threshold) for threshold in pair.stable}
    caption = Markup(
        "<b>Energy above the hull by {} and by {}</b> ({}), eV/atom, relaxed, of {:,} of {:,} crystals: those of which"
        " both have an energy. Dashed: thresholds of stability, with the share of crystals on each side of both lines"
        " (a pure element never counts as stable). Shaded: at most {:g} eV/atom apart; {} lie outside.{}"
    ).format(
        first, second, pair.hull, pair.energies.shape[1], pair.total, DISAGREE, shown(pair.apart, nan, nan, "%")[0],
        remark,
    )  # fmt: skip
    figure = run_figures.judges_compared(pair.energies, (first, second), shares, DISAGREE)
    return place(figure, folder, name, caption, f"Energies above the hull by {second} against those by {first}")


def of_all(sun: Any, main: Any) -> Any:
    """The row of sun.csv of all judges together that is beside `main`, over hulls of the same kind where it can be.

    None if there is none at this threshold.
    """
    rows = side_by_side(sun)
    rows = rows[(rows["judge"] == ALL) & (rows["threshold"] == main["threshold"])]
    same = rows[rows["hull"] == family(main["judge"], main["hull"])]
    return next((part.iloc[0] for part in (same, rows) if len(part)), None)
