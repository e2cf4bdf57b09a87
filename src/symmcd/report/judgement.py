"""Sections that judge: the numbers at a glance beside the published ones, validity and distributions, stability."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from symmcd.report import content_figures, run_figures
from symmcd.report.explain import METRICS, PUBLICATION, SUN, Metric, label_html, number, published, span
from symmcd.report.load import SUN_RATES, Results
from symmcd.report.page import PlacedFigure, Section, Table, Text, place
from symmcd.report.run_figures import Rate
from symmcd.report.sections import sizes, told

VALIDITY = ("structural_validity", "compositional_validity", "validity")
GLANCE = (
    "structural_validity",
    "compositional_validity",
    "space_group_jsd",
    "density_wasserstein",
    "element_count_wasserstein",
    "templates_unique",
    "templates_in_train",
    "templates_new",
)


def glance(results: Results) -> Section:
    """The few numbers that tell the run, each beside the published one."""
    rows: list[Sequence[Text]] = []
    for name in GLANCE:
        row = results.metric(name)
        rows.append(_glance_row(METRICS[name], row, ("value", "low", "high"), f"protocol {row['protocol']}"))
    row = main_protocol(results)
    rows += [_glance_row(SUN[name], row, (name, f"{name}_low", f"{name}_high"), describe(row)) for name in SUN_RATES]
    table = Table(
        caption=Markup(
            "This run with 95 % intervals, beside the value <span class='published'>published for SymmCD</span>"
            " (Levy et al., ICLR 2025; MP-20, 10,000 crystals, 1,000 for stability)."
        ),
        head=("", "this run", "95 % interval", "n", Markup("<span class='published'>published</span>")),
        rows=rows,
        numbers=frozenset({1, 2, 3, 4}),
        kind="glance stack",
    )
    return Section("glance", "At a glance", tables=(table,), notes=(comparability(results),))


def _glance_row(metric: Metric, row: Any, columns: tuple[str, str, str], how: str) -> Sequence[Text]:
    value, low, high = (row[name] for name in columns)
    label = Markup("{}<small>{} <i>{}.</i></small>").format(
        label_html(metric), metric.sentence, how[0].upper() + how[1:]
    )
    paper = Markup("<span class='published'>{}</span>").format(published(metric) or "–")
    return (label, number(value, metric.unit), span(low, high, metric.unit), f"{int(row['n']):,}", paper)


def main_protocol(results: Results) -> Any:
    """The row of sun.csv that stands first: the one compared with the published rates."""
    return results.sun.iloc[0]


def describe(row: Any) -> str:
    """Protocol, hull and threshold of a row of sun.csv in words."""
    return f"protocol {row['protocol']}, hull {row['hull']}, threshold {row['threshold']:g} eV/atom"


def comparability(results: Results) -> Text:
    """How far this run may be compared with the published one."""
    row = main_protocol(results)
    points = [
        f"{len(results.generated):,} crystals were generated here, 10,000 there",
        f"{int(row['n']):,} were judged for stability here, 1,000 there",
        f"the hull here is “{row['hull']}”, there that of the Materials Project from matbench-discovery",
        f"training crystals here are {len(results.train):,} of “{results.source['source']}”, there 27,136 of MP-20",
    ]
    return Markup(
        "<b>Read the two columns side by side with care:</b> {}. Counts of templates grow with the number of crystals."
    ).format("; ".join(points))


def validity(results: Results, folder: Path) -> Section:
    """Validity, elements per crystal, and the whole table of metrics."""
    rows = [results.metric(name) for name in VALIDITY]
    rates = [_rate(METRICS[name], row, ("value", "low", "high")) for name, row in zip(VALIDITY, rows, strict=True)]
    figure = place(
        run_figures.rates(rates, f"% of {int(rows[0]['n']):,} crystals"),
        folder,
        "validity",
        Markup("<b>Validity.</b> {}. Diamonds: {}.").format(
            "; ".join(f"{METRICS[name].label} {told(results, name)}" for name in VALIDITY), PUBLICATION
        ),
        "Validity rates with 95 % intervals",
    )
    counts = [content_figures.distinct_elements(units) for units in (results.generated, results.train)]
    elements = place(
        content_figures.elements_per_crystal(*counts),
        folder,
        "elements_per_crystal",
        Markup(
            "<b>Distinct elements per crystal</b> ({})."
            " d<sub>elem</sub>, the Wasserstein distance to the test crystals, is {}."
        ).format(sizes(results), told(results, "element_count_wasserstein")),
        "Histograms of the number of elements, generated and training",
    )
    table = Table(
        caption=Markup("<b>Every metric</b> of metrics/summary.csv, with protocol, number of crystals, 95 % interval."),
        head=("metric", "protocol", "value", "95 % interval", "n", "note"),
        rows=[_summary_row(row) for _, row in results.summary.iterrows()],
        numbers=frozenset({2, 3, 4}),
        kind="stack",
    )
    return Section("metrics", "Validity and distributions", figures=(figure, elements), tables=(table,))


def _rate(metric: Metric, row: Any, columns: tuple[str, str, str]) -> Rate:
    value, low, high = (float(row[name]) for name in columns)
    return Rate(metric.label, value, low, high, float(metric.paper.replace(",", "")) if metric.paper else None)


def _summary_row(row: Any) -> Sequence[Text]:
    metric = METRICS.get(row["metric"], Metric(str(row["metric"]), ""))
    known = row["metric"] in METRICS
    name = Markup("{}<small>{}</small>").format(label_html(metric), metric.sentence) if known else metric.label
    note = row["note"] if isinstance(row["note"], str) else ""
    value = number(row["value"], metric.unit)
    return (name, row["protocol"], value, span(row["low"], row["high"], metric.unit), f"{int(row['n']):,}", note)


def stability(results: Results, folder: Path) -> Section:
    """Distance to the hull, S.U.N., what became of the relaxations."""
    row = main_protocol(results)
    figures = [
        _hull_figure(table, str(hull), results, folder, "hull_distance" if i == 0 else f"hull_distance_{i + 1}")
        for i, (hull, table) in enumerate(results.hull.groupby("hull", sort=False))
    ]
    rates = [_rate(SUN[name], row, (name, f"{name}_low", f"{name}_high")) for name in SUN_RATES]
    rate_figure = place(
        run_figures.rates(rates, f"% of {int(row['n']):,} crystals"),
        folder,
        "sun",
        Markup("<b>Stable, unique, novel</b> with 95 % intervals ({}; n = {:,}). Diamonds: {}.").format(
            describe(row), int(row["n"]), PUBLICATION
        ),
        "Rates of stable and of stable, unique and novel crystals with 95 % intervals",
    )
    tables = (_sun_table(results), _status_table(results))
    return Section("stability", "Stability", figures=(*figures, rate_figure), tables=tables)


def _hull_figure(table: Any, hull: str, results: Results, folder: Path, name: str) -> PlacedFigure:
    initial, relaxed = (table[f"e_above_hull_{when}"].to_numpy(float) for when in ("initial", "relaxed"))
    thresholds = sorted(set(results.sun["threshold"].astype(float)))
    counted: list[object] = []
    for values in (initial, relaxed):
        there = values[np.isfinite(values)]
        counted += [f"{np.median(there):.3f}" if len(there) else "–", len(there)]
    return place(
        run_figures.hull_distances(initial, relaxed, thresholds, len(table)),
        folder,
        name,
        Markup(
            "<b>Energy above the hull “{}”</b> by CHGNet, eV/atom, as generated (median {}, n = {:,}) and relaxed"
            " (median {}, n = {:,}), of {:,} crystals drawn; dashed: thresholds of stability."
        ).format(hull, *counted, len(table)),
        "Histograms of energy above the hull before and after relaxation",
    )


def _sun_table(results: Results) -> Table:
    rows: list[Sequence[Text]] = []
    for _, row in results.sun.iterrows():
        cells = [
            Markup("{}<small>{}</small>").format(
                number(row[name], "%"), span(row[f"{name}_low"], row[f"{name}_high"], "%")
            )
            for name in SUN_RATES
        ]
        rows.append((row["protocol"], row["hull"], f"{row['threshold']:g}", f"{int(row['n']):,}", *cells))
    return Table(
        caption=Markup(
            "<b>Every protocol</b> of sun.csv, per cent of n with 95 % intervals. A crystal whose relaxation failed"
            " stays in the denominator and counts as unstable; novel means unlike every training crystal."
        ),
        head=("protocol", "hull", "threshold, eV/atom", "n", *(SUN[name].label for name in SUN_RATES)),
        rows=rows,
        numbers=frozenset(range(2, 7)),
        kind="stack",
    )


def _status_table(results: Results) -> Table:
    counts = results.relaxed["status"].value_counts()
    total = len(results.relaxed)
    return Table(
        caption=Markup("<b>What became of the relaxations</b> (CHGNet, n = {:,}).").format(total),
        head=("status", "crystals", "share"),
        rows=[(str(status), f"{count:,}", f"{100 * count / total:.1f} %") for status, count in counts.items()],
        numbers=frozenset({1, 2}),
        half=True,
    )
