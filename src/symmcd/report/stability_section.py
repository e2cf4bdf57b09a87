"""The section on stability: distance to the hull, S.U.N., relaxations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from symmcd.metrics.paper_tables import draw_of, spread_of
from symmcd.report import judges_section, run_figures
from symmcd.report.explain import described
from symmcd.report.judgement import describe, diamonds, main_protocol, rate, warning
from symmcd.report.load import OPTIONAL_RATES, SUN_RATES, Results
from symmcd.report.page import PlacedFigure, Section, Table, Text, place
from symmcd.report.sections import chosen_remark
from symmcd.report.values import shown
from symmcd.stability.judge_words import hull_name, judge_name, several
from symmcd.stability.rate_names import RATES


def stability(results: Results, folder: Path) -> Section:
    """Distances to the hull, S.U.N., and the outcomes of the relaxations."""
    row, of_judges = main_protocol(results), several(results.sun)
    figures = [
        _hull_figure(table, results, folder, "hull_distance" if i == 0 else f"hull_distance_{i + 1}")
        for i, (_, table) in enumerate(results.hull.groupby(["judge", "hull"], sort=False))
    ]
    compared = results.best_of is None
    rates = [rate(name, row, (name, f"{name}_low", f"{name}_high"), compared=compared) for name in SUN_RATES]
    rate_figure = place(
        run_figures.rates(rates, f"% of {int(row['n']):,} crystals"),
        folder,
        "sun",
        Markup("<b>Stable, unique, novel</b> with 95 % intervals ({}; n = {:,}).{}").format(
            describe(row, of_judges=of_judges), int(row["n"]), diamonds(results)
        ),
        "Rates of stable and of stable, unique and novel crystals with 95 % intervals",
    )
    tables = (_sun_table(results), _status_table(results))
    chosen = () if results.best_of is None else (warning(results),)
    if not of_judges:
        return Section("stability", "Stability", paragraphs=chosen, figures=(*figures, rate_figure), tables=tables)
    return Section(
        "stability",
        "Stability",
        paragraphs=(*chosen, judges_section.meaning(results)),
        first=(judges_section.rates_table(results), judges_section.agreement_table(results)),
        figures=(*judges_section.figures(results, folder), rate_figure, *figures),
        tables=tables,
    )


def _hull_figure(table: Any, results: Results, folder: Path, name: str) -> PlacedFigure:
    judge, hull = table["judge"].iloc[0], table["hull"].iloc[0]
    title = Markup("Energy above the hull “{}”").format(hull)
    if len(results.judges) > 1 and hull_name(judge, hull) != hull:
        title = Markup("Energy above its own hull")
    initial, relaxed = (table[f"e_above_hull_{when}"].to_numpy(float) for when in ("initial", "relaxed"))
    thresholds = sorted(set(results.sun["threshold"].astype(float)))
    counted = []
    for words, values in (("as generated", initial), ("relaxed", relaxed)):
        there = values[np.isfinite(values)]
        if len(there) or not np.isfinite(relaxed).any():  # further judges saw the relaxed crystals alone
            median = f"{np.median(there):.3f}" if len(there) else "–"
            counted.append(f"{words} (median {median}, n = {len(there):,})")
    return place(
        run_figures.hull_distances(initial, relaxed, thresholds, len(table)),
        folder,
        name,
        Markup("<b>{}</b> by {}, eV/atom, {}, of {:,} crystals drawn; dashed: thresholds of stability.{}").format(
            title, judge_name(judge), " and ".join(counted), len(table), chosen_remark(results)
        ),
        "Histograms of energy above the hull before and after relaxation",
    )


def _sun_table(results: Results) -> Table:
    rows: list[Sequence[Text]] = []
    of_judges = several(results.sun)
    names = [*RATES, *(name for name in OPTIONAL_RATES if name in results.sun)]
    for _, row in results.sun.iterrows():
        cells = [
            Markup("{}<small>{}{}</small>").format(
                *shown(row[name], row[f"{name}_low"], row[f"{name}_high"], "%"),
                f"; sd {spread}" if (spread := spread_of(row, name)) else "",
            )
            for name in names
        ]
        over = [judge_name(row["judge"]), hull_name(row["judge"], row["hull"])] if of_judges else [row["hull"]]
        protocol = f"{row['protocol']}{draw_of(row)}"
        rows.append((protocol, *over, f"{row['threshold']:g}", f"{int(row['n']):,}", *cells))
    head = ("protocol", *(["judge"] if of_judges else []), "hull", "eV/atom", "n")
    return Table(
        caption=Markup(
            "<b>Every protocol</b> of sun.csv, per cent of n with 95 % intervals; stable means at most so many eV/atom"
            " above the hull (protocol “paper”: 0, as published; “metastable”: a higher threshold). A crystal whose"
            " relaxation failed stays in the denominator and counts as unstable.{}{}"
        ).format(
            chosen_remark(results),
            " Draws are disjoint and each is judged by itself, duplicates too; “all” is their mean, with the interval"
            " of all their crystals and the standard deviation (sd) between draws in points of per cent."
            if "draw" in results.sun
            else "",
        ),
        head=(*head, *(described(name).label for name in names)),
        rows=rows,
        numbers=frozenset(range(head.index("eV/atom"), len(head) + len(names))),
        kind="stack dense",
        folded=f"Every protocol, judge and hull of sun.csv ({len(rows)} rows)" if of_judges else "",
    )


def _status_table(results: Results) -> Table:
    counts = results.relaxed["status"].value_counts()
    total = len(results.relaxed)
    return Table(
        caption=Markup("<b>What became of the relaxations</b> ({}, n = {:,}).").format(results.potential, total),
        head=("status", "crystals", "share"),
        rows=[(str(status), f"{count:,}", f"{100 * count / total:.1f} %") for status, count in counts.items()],
        numbers=frozenset({1, 2}),
        half=True,
    )
