"""Sections that judge: the numbers at a glance beside the published ones, validity and distributions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from symmcd.crystallography.content import number_of_elements
from symmcd.metrics import oversampling
from symmcd.metrics.paper_tables import draw_of
from symmcd.metrics.published import CRYSTALS, HULL, JUDGED, PUBLICATION, TRAINING_CRYSTALS, of_symmcd
from symmcd.report import content_figures, run_figures
from symmcd.report.explain import described, known
from symmcd.report.judges_section import of_all
from symmcd.report.load import SUN_RATES, Results
from symmcd.report.page import Section, Table, Text, place
from symmcd.report.run_figures import Rate
from symmcd.report.sections import chosen_remark, metric_sentence, sizes
from symmcd.report.values import label_html, protocol, sentence, shown
from symmcd.report.verdicts import main_row, of_rate, published, verdict
from symmcd.stability.judge_words import judge_name, over, several

COMPUTED = "Metrics are computed as by Levy et al., unless a row says otherwise."
PROTOCOLS = (
    "The “paper” protocol computes a metric as Levy et al. did. The “strict” protocol is harder to pass, or leaves less"
    " to chance; the notes in the table say how. Rows of a protocol that ends in “floor” are the same metric of real"
    " crystals: no generator can be expected to score less."
)
VALIDITY = (
    ("structural_validity", "paper"),
    ("structural_validity", "strict"),
    ("compositional_validity", "paper"),
    ("validity", "paper"),
    ("coverage_recall", "paper"),
    ("coverage_precision", "paper"),
    ("group_kept", "strict"),
)
GLANCE = (
    "structural_validity",
    "compositional_validity",
    "coverage_recall",
    "coverage_precision",
    "space_group_jsd",
    "density_wasserstein",
    "element_count_wasserstein",
    "templates_unique",
    "templates_in_train",
    "templates_new",
)


def glance(results: Results) -> Section:
    """The few numbers that tell the run, each beside the published one; alone where crystals were chosen."""
    rows: list[Sequence[Text]] = []
    predicted = "formation_energy_wasserstein"  # only where a predictor was trained
    for name in (*GLANCE, *([predicted] if (results.summary["metric"] == predicted).any() else [])):
        row = results.metric(name)
        how = "" if row["protocol"] == "paper" else protocol(row["protocol"])
        beside = published(name), verdict(name, row["low"], row["high"], results.floor(name))
        rows.append(_glance_row(name, row, ("value", "low", "high"), how, beside))
    row, of_judges = main_protocol(results), several(results.sun)
    for name in SUN_RATES:
        columns = (name, f"{name}_low", f"{name}_high")
        rows.append(_glance_row(name, row, columns, describe(row, of_judges=of_judges), of_rate(name, row)))
    together = of_all(results.sun, row)
    if together is not None:
        how = describe(together, of_judges=True)
        rows.append(_glance_row("sun", together, ("sun", "sun_low", "sun_high"), how, ("", "")))
    head = ("", "this run", "95 % interval", "n", Markup("<span class='published'>published</span>"))
    if results.best_of is not None:
        caption = Markup("This run with 95 % intervals: {}. {}").format(oversampling.chosen(results.best_of), COMPUTED)
        alone = [row[:-1] for row in rows]
        table = Table(caption, head[:-1], alone, numbers=frozenset({1, 2, 3}), kind="glance stack")
        return Section("glance", "At a glance", paragraphs=(warning(results),), tables=(table,))
    table = Table(
        caption=Markup(
            "This run with 95 % intervals, beside the value <span class='published'>published for SymmCD</span>"
            " (Levy et al., ICLR 2025; MP-20, {:,} crystals, {:,} for stability). Under that: better or worse where"
            " this run's interval leaves it out, “no difference shown” where it does not; “published is below real"
            " crystals” where as many test crystals score more against the test set, so that nothing can be compared;"
            " “other hull” where stability is measured over another one than the published. {}"
        ).format(CRYSTALS, JUDGED, COMPUTED),
        head=head,
        rows=rows,
        numbers=frozenset({1, 2, 3, 4}),
        kind="glance stack",
    )
    return Section("glance", "At a glance", tables=(table,), notes=(comparability(results),))


def _glance_row(
    name: str, row: Any, columns: tuple[str, str, str], how: str, beside: tuple[str, str]
) -> Sequence[Text]:
    metric = described(name)
    at, low, high = (row[column] for column in columns)
    value, interval = shown(at, low, high, metric.unit)
    said = Markup(" <i>{}.</i>").format(how[0].upper() + how[1:]) if how else ""
    label = Markup("{}<small>{}{}</small>").format(label_html(metric), metric.sentence, said)
    paper = Markup("<span class='published'>{}</span><small>{}</small>").format(beside[0] or "–", beside[1])
    return (label, value, interval, f"{int(row['n']):,}", paper)


def main_protocol(results: Results) -> Any:
    """The row of sun.csv that is compared with the published rates."""
    return main_row(results.sun)


def describe(row: Any, *, of_judges: bool) -> str:
    """Hull and threshold of a row of sun.csv in words, and the judge if there are several."""
    hull = over(row["judge"], row["hull"]) if of_judges else f"hull {row['hull']}"
    return f"{hull}, threshold {row['threshold']:g} eV/atom{draw_of(row)}"


def warning(results: Results) -> Text:
    """Note on figures over crystals that were chosen."""
    assert results.best_of is not None
    said = (oversampling.sentence(results.best_of), oversampling.NOTHING_PUBLISHED)
    judges = oversampling.of_judges(results.best_of, results.judges)
    return Markup("<b>These crystals were chosen.</b> {}").format(" ".join([*said, *([judges] if judges else [])]))


def comparability(results: Results) -> Text:
    """Limits of the comparison of this run with the published one."""
    row = main_protocol(results)
    threshold = f", at a threshold of {row['threshold']:g} eV/atom" if row["threshold"] else ""
    points = [
        f"{len(results.generated):,} crystals were generated here, {CRYSTALS:,} there",
        f"{int(row['n']):,} were judged for stability here, {JUDGED:,} there",
        f"the hull here is “{row['hull']}”, there that of the Materials Project from {HULL}{threshold}",
        f"training crystals here are {len(results.train):,} of “{results.source['source']}”,"
        f" there {TRAINING_CRYSTALS:,} of MP-20",
    ]
    if several(results.sun):
        points.append(f"the published rates are by CHGNet alone, those beside them here by {judge_name(row['judge'])}")
    return Markup(
        "<b>Read the two columns side by side with care:</b> {}. Counts of templates grow with the number of crystals."
    ).format("; ".join(points))


def validity(results: Results, folder: Path) -> Section:
    """Validity, elements per crystal, and the whole table of metrics."""
    rows = [results.metric(name, protocol) for name, protocol in VALIDITY]
    compared = results.best_of is None
    rates = [rate(row["metric"], row, ("value", "low", "high"), compared=compared) for row in rows]
    # the published value was measured by the paper's protocol
    rates[1] = dataclasses.replace(rates[1], label=f"{rates[1].label}, strict", paper=None)
    values = [f"{shown.label} {sentence(row)}" for shown, row in zip(rates, rows, strict=True)]
    figure = place(
        run_figures.rates(rates, f"% of {int(rows[0]['n']):,} crystals (recall: of the test crystals)"),
        folder,
        "validity",
        Markup("<b>Validity and coverage.</b> {}.{}").format("; ".join(values), diamonds(results)),
        "Validity rates with 95 % intervals",
    )
    counts = [number_of_elements(units) for units in (results.generated, results.train)]
    elements = place(
        content_figures.elements_per_crystal(*counts),
        folder,
        "elements_per_crystal",
        Markup(
            "<b>Distinct elements per crystal</b> ({})."
            " d<sub>elem</sub>, the Wasserstein distance to the test crystals, is {}."
        ).format(sizes(results), metric_sentence(results, "element_count_wasserstein")),
        "Histograms of the number of elements, generated and training",
    )
    table = Table(
        caption=Markup(
            "<b>Every metric</b> of metrics/summary.csv, with protocol, number of crystals, 95 % interval.{}"
        ).format(chosen_remark(results)),
        head=("metric", "protocol", "value", "95 % interval", "n", "note"),
        rows=[_summary_row(row) for _, row in results.summary.iterrows()],
        numbers=frozenset({2, 3, 4}),
        kind="stack",
    )
    return Section(
        "metrics", "Validity and distributions", paragraphs=(PROTOCOLS,), figures=(figure, elements), tables=(table,)
    )


def diamonds(results: Results) -> str:
    """Source of the diamonds of a figure of rates, for its caption; of crystals that were chosen, how.

    Beside these stands nothing published.
    """
    if results.best_of is None:
        return f" Diamonds: {PUBLICATION}."
    return chosen_remark(results)


def rate(name: str, row: Any, columns: tuple[str, str, str], *, compared: bool = True) -> Rate:
    """A percentage, its interval and the published value, from the columns of a table's row.

    None is published of stability at another threshold than 0, and none is shown where it is not to be compared.
    """
    value, low, high = (float(row[column]) for column in columns)
    paper = of_symmcd(name) if compared and row.get("threshold", 0) == 0 else ""
    return Rate(described(name).label, value, low, high, float(paper) if paper else None)


def _summary_row(row: Any) -> Sequence[Text]:
    metric = described(row["metric"])
    name: Text = metric.label
    if known(row["metric"]):
        name = Markup("{}<small>{}</small>").format(label_html(metric), metric.sentence)
    note = row["note"] if isinstance(row["note"], str) else ""
    value, interval = shown(row["value"], row["low"], row["high"], metric.unit)
    return (name, row["protocol"], value, interval, f"{int(row['n']):,}", note)
