"""Sections on the crystals themselves: symmetry, templates, composition; and on the training that they come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.content import densities, templates
from symmcd.metrics import oversampling
from symmcd.report import content_figures, run_figures, symmetry_figures
from symmcd.report.explain import described
from symmcd.report.load import Results
from symmcd.report.page import Section, Table, Text, place
from symmcd.report.typesetting import symbol_html
from symmcd.report.values import number, sentence, shown

RISE = 0.05
"""Share of its lowest value by which a validation loss rises before the page says so."""

OVERFITTED = (
    "Validation losses rose again after their lowest values: {}. From there on the network learned its training"
    " crystals by heart, and longer training would not help; more data or a smaller network would. Crystals are"
    " generated with the weights of the epoch that had the lowest total validation loss, so the rise is not in them."
)
ORIGINALITY = ("uniqueness", "novelty", "unique_novelty", "prototype_novelty")


def metric_sentence(results: Results, name: str) -> str:
    """Value, interval, n and protocol of a metric, for a caption."""
    return sentence(results.metric(name))


def sizes(results: Results, generated: int | None = None) -> str:
    """``n = 1,000 generated, 27,136 training crystals``; of chosen ones ``1,000 generated (best of 20 drafts each)``.

    Args:
        results: of the run.
        generated: how many of the crystals are shown, where not all are.
    """
    number = len(results.generated) if generated is None else generated
    how = "" if results.best_of is None else f" (best of {results.best_of.drafts} drafts each)"
    return f"n = {number:,} generated{how}, {len(results.train):,} training crystals"


def chosen_remark(results: Results) -> str:
    """A sentence for captions: how the crystals were chosen; empty if they were not."""
    return "" if results.best_of is None else f" The crystals are {oversampling.chosen(results.best_of)}."


def symmetry(results: Results, folder: Path) -> Section:
    """Space groups and crystal systems."""
    found = results.per_crystal["space_group_found"].to_numpy(float)
    generated = found[np.isfinite(found) & (found > 0)].astype(int)  # spglib finds none where atoms overlap
    training = results.train.space_group
    n = sizes(results, len(generated))
    groups = place(
        symmetry_figures.space_groups(generated, training),
        folder,
        "space_groups",
        Markup(
            "<b>Space groups.</b> Share of each of the 230 groups, generated upwards (as spglib finds them) and"
            " training downwards ({}). d<sub>sg</sub>, the Jensen–Shannon distance to the test crystals, is {}."
        ).format(n, metric_sentence(results, "space_group_jsd")),
        "Bars of the share of each space group, generated above and training crystals below the axis",
        wide=True,
        narrow=symmetry_figures.space_groups(generated, training, narrow=True),
    )
    systems = place(
        symmetry_figures.crystal_systems(generated, training),
        folder,
        "crystal_systems",
        Markup("<b>Crystal systems.</b> Share of the seven systems ({}).").format(n),
        "Bars of the share of each crystal system, generated and training",
    )
    return Section("symmetry", "Symmetry", figures=(groups, systems), tables=(_frequent_groups(generated, training),))


def _frequent_groups(generated: np.ndarray, training: np.ndarray, rows: int = 8) -> Table:
    made, known = symmetry_figures.shares(generated), symmetry_figures.shares(training)
    first = np.argsort(-known, kind="stable")[: min(rows, int((known > 0).sum()))].tolist()
    return Table(
        caption=Markup("<b>The most frequent space groups of training,</b> per cent of crystals."),
        head=("space group", "training", "generated"),
        rows=[
            (Markup("{} ({})").format(symbol_html(i + 1), i + 1), f"{known[i]:.1f} %", f"{made[i]:.1f} %")
            for i in first
        ],
        numbers=frozenset({1, 2}),
        half=True,
    )


def template_section(results: Results, folder: Path) -> Section:
    """Templates: known, new, how often."""
    generated, training = (np.array(templates(units)) for units in (results.generated, results.train))
    novelty = place(
        symmetry_figures.template_novelty(generated, training),
        folder,
        "templates",
        Markup(
            "<b>Known and new templates.</b> A template is a space group with its occupied Wyckoff positions, whatever"
            " the elements: unique {}; of them in training {}; new {}."
        ).format(
            *(metric_sentence(results, name) for name in ("templates_unique", "templates_in_train", "templates_new"))
        ),
        "Stacked bars of templates and crystals, in training and new",
    )
    ranks = place(
        symmetry_figures.template_ranks(generated, training),
        folder,
        "template_ranks",
        Markup(
            "<b>How often each template occurs,</b> from the most to the least frequent ({}); a steeper line"
            " is less diverse."
        ).format(sizes(results)),
        "Frequency of templates against their rank, generated and training",
    )
    return Section("templates", "Templates and novelty", figures=(novelty, ranks), tables=_originality(results))


def _originality(results: Results) -> list[Table]:
    """Unique, novel and new after an exchange of elements, of all crystals and of the valid; no table of an old run."""
    rows: list[Sequence[Text]] = []
    for name in ORIGINALITY:
        cells: list[Text] = []
        for metric in (name, f"{name}_valid"):
            found = results.summary[results.summary["metric"] == metric]
            if len(found):
                row = found.iloc[0]
                value, interval = shown(row["value"], row["low"], row["high"], "%")
                cells.append(Markup("{}<small>{}, n = {:,}</small>").format(value, interval, int(row["n"])))
        if len(cells) == 2:
            label = Markup("{}<small>{}</small>").format(described(name).label, described(name).sentence)
            rows.append((label, *cells))
    if not rows:
        return []
    caption = Markup(
        "<b>Unlike each other and unlike the training crystals,</b> per cent with 95 % intervals. Being new is no merit"
        " by itself: a crystal with atoms in wrong places is new too, and most real crystals are substitutions in known"
        " structures (bench/controls_metrics.md has their numbers). Stability decides what a new crystal is worth.{}"
    ).format(chosen_remark(results))
    head = ("", "of all crystals", "of those valid both ways")
    return [Table(caption, head, rows, numbers=frozenset({1, 2}), kind="stack")]


def content(results: Results, folder: Path) -> Section:
    """Atoms, elements, density."""
    generated, training, n = results.generated, results.train, sizes(results)

    def compared(draw: Callable[..., Any], measure: Callable[[AsymmetricUnits], np.ndarray], **how: Any) -> Any:
        return draw(measure(generated), measure(training), **how)

    atoms = place(
        compared(content_figures.atoms_per_cell, lambda units: units.number_of_atoms),
        folder,
        "atoms",
        Markup(
            "<b>Atoms per conventional cell</b> ({}), which follow from the site symmetries that the model chose."
        ).format(n),
        "Histograms of atoms per cell, generated and training",
    )
    density = place(
        compared(content_figures.densities, densities),
        folder,
        "density",
        Markup("<b>Density</b> ({}). d<sub>ρ</sub>, the Wasserstein distance to the test crystals, is {}.").format(
            n, metric_sentence(results, "density_wasserstein")
        ),
        "Histograms of density, generated and training",
    )
    table = place(
        compared(content_figures.periodic_table, content_figures.element_shares),
        folder,
        "elements",
        Markup(
            "<b>Elements.</b> Per cent of crystals that contain each element: upper number and colour generated, lower"
            " number training ({})."
        ).format(n),
        "Periodic table coloured by the share of generated crystals with each element",
        wide=True,
        narrow=compared(content_figures.periodic_table, content_figures.element_shares, narrow=True),
    )
    return Section("content", "Composition and size", figures=(atoms, density, table))


def untrained(results: Results) -> str:
    """Explain why there are no losses."""
    if results.kind is not None and not results.kind.parts:
        return f"a model of kind “{results.kind.name}” has nothing to train"
    return "its weights were given (training.weights)"


def training(results: Results, folder: Path) -> Section:
    """Losses."""
    table = results.losses
    if not len(table):
        return Section("training", "Training", paragraphs=(f"Nothing was trained in this run: {untrained(results)}.",))
    names = [column.removeprefix("val_") for column in table if column.startswith("val_")]
    words = {} if results.kind is None else results.kind.losses
    meanings = [f"{name.replace('_', ' ')}: {words[name]}" for name in names if name in words]
    last, rising = [], []
    for name in names:
        validated = table[np.isfinite(table[f"val_{name}"].astype(float))]
        if not len(validated):
            continue
        value, epoch = validated[f"val_{name}"].to_numpy(float), validated["epoch"].to_numpy(int)
        words_of = name.replace("_", " ")
        last.append(f"{words_of} {number(value[-1])} (epoch {epoch[-1]})")
        best = int(value.argmin())
        if value[-1] - value[best] > RISE * abs(value[best]):
            rising.append(f"{words_of} from {number(value[best])} (epoch {epoch[best]}) to {number(value[-1])}")
    columns = {name: table[name].to_numpy() for name in table.columns}
    figure = place(
        run_figures.losses(columns),
        folder,
        "losses",
        Markup("<b>Losses</b> over {:,} epochs on n = {:,} training crystals{}. Last validation losses: {}.").format(
            len(table), len(results.train), f" ({'; '.join(meanings)})" if meanings else "", ", ".join(last)
        ),
        "Training and validation loss of each component over epochs",
        wide=True,
        narrow=run_figures.losses(columns, narrow=True),
    )
    notes = (OVERFITTED.format("; ".join(rising)),) if rising else ()
    return Section("training", "Training", figures=(figure,), notes=notes)
