"""Figures of symmetry: space groups, crystal systems, templates."""

from __future__ import annotations

from typing import Any

import numpy as np

from symmcd.report.style import (
    BAND,
    GENERATED,
    HIGHLIGHT,
    INK,
    MUTED,
    PANEL,
    REFERENCE,
    WIDE,
    figure_style,
    new_figure,
    plain_log_ticks,
)
from symmcd.report.typesetting import symbol_text

CRYSTAL_SYSTEMS = {
    "triclinic": (1, 2),
    "monoclinic": (3, 15),
    "orthorhombic": (16, 74),
    "tetragonal": (75, 142),
    "trigonal": (143, 167),
    "hexagonal": (168, 194),
    "cubic": (195, 230),
}


def shares(space_group: np.ndarray) -> np.ndarray:
    """(230,) per cent of crystals in each space group; space_group (B,) in 1..230, B > 0."""
    return 100 * np.bincount(space_group, minlength=231)[1:] / len(space_group)


def space_groups(generated: np.ndarray, training: np.ndarray, named: int = 9, *, narrow: bool = False) -> Any:
    """Shares of the 230 space groups, generated upwards and training downwards (paper, figure 4).

    Args:
        generated, training: (B,) space-group numbers.
        named: this many of the most frequent groups get their symbol.
        narrow: three panels, one below the other, for a narrow screen.
    """
    up, down = shares(generated), shares(training)
    top = 1.18 * max(up.max(), down.max())
    spans = ((1, 74), (75, 167), (168, 230)) if narrow else ((1, 230),)
    with figure_style():
        figure, panels = new_figure((PANEL[0], 6.6) if narrow else WIDE, len(spans), squeeze=False)
        for axes, (first, last) in zip(panels[:, 0], spans, strict=True):
            _system_bands(axes, top, first, last, 1.22 if narrow else 1.10)
            number = np.arange(first, last + 1)
            part = slice(first - 1, last)
            axes.bar(number, up[part], width=0.92, color=GENERATED, label=f"generated (n = {len(generated):,})")
            axes.bar(number, -down[part], width=0.92, color=REFERENCE, label=f"training (n = {len(training):,})")
            axes.axhline(0, color=MUTED, linewidth=0.7)
            _name_bars(axes, up[part], number, named, sign=1, top=top)
            _name_bars(axes, down[part], number, named, sign=-1, top=top)
            axes.set(xlim=(first - 1.5, last + 1.5), ylim=(-top, top), ylabel="% of crystals")
            axes.set_xticks([*range(first, last, 15)] if narrow else [1, *range(25, 231, 25)])
            axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
        panels[-1, 0].set_xlabel("space-group number")
        if narrow:
            figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
        else:
            panels[0, 0].legend(loc="lower left", bbox_to_anchor=(0.08, 0.0), ncols=2)
    return figure


def _system_bands(axes: Any, top: float, first: int, last: int, higher: float) -> None:
    """Names of the crystal systems above the groups `first` to `last`, and a band behind every second of them."""
    for i, (name, (low, high)) in enumerate(CRYSTAL_SYSTEMS.items()):
        if high < first or low > last:
            continue
        if i % 2 == 0:
            axes.axvspan(low - 0.5, high + 0.5, color=BAND, linewidth=0)
        small = high - low < 14  # the first two names would run into each other: one is lower than the other
        place = ((low + high) / 2 if i else 0.5, top * (1.02 if i != 1 else higher))
        axes.text(*place, name, ha="center" if i else "left", va="bottom", color=MUTED, fontsize=7.5 if small else 8)


def _name_bars(axes: Any, share: np.ndarray, number: np.ndarray, named: int, sign: int, top: float) -> None:
    """Symbols of the tallest bars, tallest first, without those that would run into another or be crossed by a bar."""
    taken: list[tuple[float, float]] = []
    for i in np.argsort(-share, kind="stable")[:named]:
        here = (float(number[i]), float(share[i]))
        if share[i] == 0 or any(abs(here[0] - x) < 15 and abs(here[1] - y) < 0.09 * top for x, y in taken):
            continue
        if (share[np.abs(number - number[i]) < 6] > share[i]).any():  # half the width of a symbol
            continue
        taken.append(here)
        axes.annotate(
            symbol_text(int(number[i])), (number[i], sign * share[i]), xytext=(0, 2 * sign), textcoords="offset points",
            ha="center", va="bottom" if sign > 0 else "top", fontsize=7.5, color=INK,
        )  # fmt: skip


def crystal_systems(generated: np.ndarray, training: np.ndarray) -> Any:
    """Shares of the seven crystal systems; arguments as in `space_groups`."""
    up, down = shares(generated), shares(training)
    height = 0.38
    place = np.arange(len(CRYSTAL_SYSTEMS))[::-1]
    with figure_style():
        figure, axes = new_figure(PANEL)
        for offset, share, colour, label in (
            (height / 2, up, GENERATED, "generated"),
            (-height / 2, down, REFERENCE, "training"),
        ):
            total = [share[first - 1 : last].sum() for first, last in CRYSTAL_SYSTEMS.values()]
            bars = axes.barh(place + offset, total, height, color=colour, label=label)
            axes.bar_label(bars, fmt="%.1f", padding=2, fontsize=7.5, color=INK)
        axes.set_yticks(place, list(CRYSTAL_SYSTEMS))
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
        axes.margins(x=0.10)
        axes.set_xlabel("% of crystals")
        axes.legend(loc="best")
    return figure


def template_ranks(generated: np.ndarray, training: np.ndarray) -> Any:
    """Frequency of the most frequent, second most frequent … template, generated and training.

    Args:
        generated, training: (B,) template of each crystal, for example ``225_a_b``.
    """
    with figure_style():
        figure, axes = new_figure(PANEL)
        for templates, colour, label, width in (
            (training, REFERENCE, "training", 2.4),
            (generated, GENERATED, "generated", 1.6),
        ):
            count = np.sort(np.unique(templates, return_counts=True)[1])[::-1]
            axes.step(
                np.arange(1, len(count) + 1),
                100 * count / len(templates),
                where="mid",
                color=colour,
                linewidth=width,
                label=label,
            )
        axes.set(xscale="log", yscale="log", xlabel="rank of template", ylabel="% of crystals")
        sizes = [np.unique(templates, return_counts=True)[1] for templates in (training, generated)]
        plain_log_ticks(axes.xaxis, max(len(count) for count in sizes))
        plain_log_ticks(axes.yaxis, max(count.max() for count in sizes))
        axes.grid()
        axes.legend()
    return figure


def template_novelty(generated: np.ndarray, training: np.ndarray) -> Any:
    """Generated crystals and their unique templates, parted into known from training and new; arguments as above."""
    unique, count = np.unique(generated, return_counts=True)
    known = np.isin(unique, training)
    rows = {
        f"unique templates\n(n = {len(unique):,})": (known.sum(), (~known).sum()),
        f"crystals\n(n = {len(generated):,})": (count[known].sum(), count[~known].sum()),
    }
    with figure_style():
        figure, axes = new_figure((PANEL[0], 2.0))
        for place, (old, new) in enumerate(rows.values()):
            left = 0.0
            for value, colour, label in ((old, REFERENCE, "in training"), (new, HIGHLIGHT, "new")):
                share = 100 * value / (old + new)
                axes.barh(place, share, 0.62, left=left, color=colour, label=label if place == 0 else None)
                if share > 4:
                    text = f"{value:,}\n{share:.1f} %" if share > 9 else f"{value:,}"
                    axes.text(left + share / 2, place, text, ha="center", va="center", color="white", fontsize=8)
                left += share
        axes.set_yticks(range(len(rows)), list(rows))
        axes.tick_params(axis="y", length=0)
        axes.set(xlim=(0, 100), xlabel="%")
        axes.spines["left"].set_visible(False)
        figure.legend(loc="outside upper center", ncols=2)
    return figure
