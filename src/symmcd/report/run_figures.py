"""Figures of the run and its judgement: losses, validity, distance to the hull, S.U.N."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symmcd.report.style import (
    BAND,
    GENERATED,
    HIGHLIGHT,
    INK,
    MUTED,
    PANEL,
    PAPER,
    PAPER_MARK,
    REFERENCE,
    WIDE,
    figure_style,
    new_figure,
    plain_log_ticks,
)

BROAD = (WIDE[0], 2.5)
MANY = 1500  # points of a figure; more are drawn as an image within it


@dataclass(frozen=True)
class Rate:
    """A percentage with its 95 % interval, and the value published for SymmCD if there is one."""

    label: str
    value: float
    low: float
    high: float
    paper: float | None = None


def losses(table: Mapping[str, np.ndarray], *, narrow: bool = False) -> Any:
    """Training and validation loss of each component over epochs.

    Args:
        table: columns of losses.csv; a loss is NaN in epochs that were not validated, or in which its part of a staged
            model had finished.
    """
    components = [name.removeprefix("train_") for name in table if name.startswith("train_")]
    with figure_style():
        number = len(components)
        figure, panels = new_figure((PANEL[0], 2.4 * number), number) if narrow else new_figure(BROAD, 1, number)
        row = np.atleast_1d(panels)
        epoch = np.asarray(table["epoch"], float)
        for axes, component in zip(row, components, strict=True):
            training, validation = (np.asarray(table[f"{part}_{component}"], float) for part in ("train", "val"))
            axes.plot(epoch, training, color=REFERENCE, linewidth=1.4, label="training")
            there = np.isfinite(validation)
            few = there.sum() <= 25
            axes.plot(
                epoch[there],
                validation[there],
                color=GENERATED,
                linewidth=1.4,
                marker="o" if few else None,
                markersize=3,
                label="validation",
            )
            values = np.concatenate([training, validation[there]])
            if len(values) and np.nanmin(values) > 0 and np.nanmax(values) > 3 * np.nanmin(values):
                axes.set_yscale("log")
                plain_log_ticks(axes.yaxis, float(np.nanmax(values) / np.nanmin(values)))
            axes.set_title(component.replace("_", " "))
            axes.set_xlabel("epoch")
            axes.grid()
        row[0].legend()
        for axes in row if narrow else row[:1]:
            axes.set_ylabel("loss")
    return figure


def rates(items: Sequence[Rate], label: str) -> Any:
    """Percentages as points with 95 % intervals; a diamond marks the value published for SymmCD."""
    with figure_style():
        figure, axes = new_figure((PANEL[0], 0.85 + 0.36 * len(items)))
        place = np.arange(len(items))[::-1]
        value = np.array([item.value for item in items])
        spread = np.array([[item.value - item.low for item in items], [item.high - item.value for item in items]])
        axes.barh(place, value, 0.5, color=GENERATED, alpha=0.30)
        axes.errorbar(
            value,
            place,
            xerr=np.maximum(spread, 0),
            fmt="o",
            color=GENERATED,
            markersize=5,
            capsize=3,
            linewidth=1.3,
            label="this run, 95 % interval",
        )
        published = [(item.paper, at) for item, at in zip(items, place, strict=True) if item.paper is not None]
        if published:
            axes.plot(*zip(*published, strict=True), "D", color=PAPER_MARK, markersize=5.5, label="SymmCD, published")
        axes.set_yticks(place, [item.label for item in items])
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(
            0,
            max(
                102.0 if value.max() > 40 else 0.0,
                1.15 * max([item.high for item in items] + [p for p, _ in published] + [1.0])
                if value.max() <= 40
                else 0.0,
            ),
        )
        axes.set_xlabel(label)
        axes.grid(axis="x")
        figure.legend(loc="outside upper center", ncols=2)
    return figure


def hull_distances(initial: np.ndarray, relaxed: np.ndarray, thresholds: Sequence[float], total: int) -> Any:
    """Energy above the hull as generated and after relaxation, eV/atom.

    Args:
        initial, relaxed: (n,) eV/atom, NaN if there is none.
        thresholds: vertical lines, eV/atom.
        total: crystals that were to be relaxed; those without an energy stay in the denominator.
    """
    there = [values[np.isfinite(values)] for values in (initial, relaxed)]
    low = min([-0.1] + [float(np.quantile(values, 0.01)) for values in there if len(values)])
    high = max([0.5] + [float(np.quantile(values, 0.9)) for values in there if len(values)])
    edges = np.linspace(low, min(high, 3.0), 41)
    with figure_style():
        figure, axes = new_figure(PANEL)
        for values, name, kind in ((there[0], "as generated", "before"), (there[1], "relaxed", "after")):
            if kind == "before" and not len(values) and len(there[1]):
                continue  # a judge that saw the relaxed crystals alone
            share = 100 * np.histogram(values, edges)[0] / total
            beyond = 100 * np.sum((values < edges[0]) | (values > edges[-1])) / total
            text = (
                f"{name} (n = {len(values):,}; {beyond:.0f} % off the axis)"
                if beyond >= 0.5
                else f"{name} (n = {len(values):,})"
            )
            if kind == "before":
                axes.stairs(share, edges, color=HIGHLIGHT, linewidth=1.6, label=text)
            else:
                axes.stairs(share, edges, fill=True, color=GENERATED, alpha=0.75, label=text)
        for threshold in thresholds:
            axes.axvline(threshold, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
            axes.annotate(f"{threshold:g}", (threshold, 1), xycoords=("data", "axes fraction"), xytext=(2, -8),
                          textcoords="offset points", fontsize=7.5, color=INK)  # fmt: skip
        axes.set(xlabel="energy above the hull, eV/atom", ylabel=f"% of {total:,} crystals", xlim=(edges[0], edges[-1]))
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")
        figure.legend(loc="outside upper center", ncols=2)
    return figure


def judges_compared(
    energies: np.ndarray,
    names: tuple[str, str],
    shares: Mapping[float, tuple[float, float, float, float]],
    near: float,
) -> Any:
    """Energy above the hull by one judge against that by another, eV/atom, a point per crystal.

    Args:
        energies: (2, n) eV/atom.
        names: of the judges.
        shares: threshold → per cent of crystals that are stable by both, only by the first, only by the second, by
            neither.
        near: eV/atom that energies in the shaded band differ by at most.
    """
    low = min([-0.25, *(float(np.quantile(values, 0.01)) for values in energies if len(values))])
    high = max([0.5, *(float(np.quantile(values, 0.9)) for values in energies if len(values))])
    low, high = max(low, -1.0), min(high, 1.5)
    off = 100 * ((energies < low) | (energies > high)).any(axis=0).mean() if energies.size else 0.0
    corners = ((0.02, 0.02, "left", "bottom"), (0.02, 0.98, "left", "top"),
               (0.98, 0.02, "right", "bottom"), (0.98, 0.98, "right", "top"))  # fmt: skip
    words = ("stable by both", f"stable only by {names[0]}", f"stable only by {names[1]}", "stable by neither")
    with figure_style():
        figure, axes = new_figure((PANEL[0], 4.9))
        axes.fill_between([low, high], [low - near, high - near], [low + near, high + near], color=BAND, linewidth=0)
        many = energies.shape[1] > MANY
        axes.plot(*energies, "o", color=GENERATED, markersize=2.2 if many else 2.8, markeredgewidth=0,
                  alpha=0.35 if many else 0.6, rasterized=many)  # fmt: skip
        for threshold in shares:
            for line in (axes.axvline, axes.axhline):
                line(threshold, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        for (x, y, across, along), word, place in zip(corners, words, range(4), strict=True):
            counted = [f"≤ {threshold:g}: {parts[place]:.1f} %" for threshold, parts in shares.items() if energies.size]
            axes.text(x, y, "\n".join([word, *counted]), transform=axes.transAxes, ha=across, va=along, fontsize=7.5,
                      color=INK, parse_math=False,
                      bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 2})  # fmt: skip
        axes.set_xlabel(f"by {names[0]}, eV/atom", parse_math=False)
        axes.set_ylabel(f"by {names[1]}, eV/atom", parse_math=False)
        axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
        if off >= 0.5:
            axes.set_title(f"{off:.0f} % of crystals lie off an axis", color=MUTED)
        axes.grid()
    return figure
