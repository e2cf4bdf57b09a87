"""Figures of what crystals are made of: atoms per cell, elements per crystal, the periodic table."""

from __future__ import annotations

from typing import Any

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.content import amounts
from symmcd.report.style import GENERATED, GRID, INK, MUTED, PANEL, REFERENCE, WIDE, figure_style, new_figure

LAST_ELEMENT = 103  # drawn; the periodic table beyond has no crystals


def atoms_per_cell(generated: np.ndarray, training: np.ndarray) -> Any:
    """Histogram of atoms in the conventional cell (paper, figure 5).

    Args:
        generated, training: (B,) numbers of atoms.
    """
    last = int(max(np.quantile(generated, 0.995), np.quantile(training, 0.995)))
    width = max(1, round(last / 30))
    edges = np.arange(0.5, last + width + 0.5, width)
    with figure_style():
        figure, axes = new_figure(PANEL)
        _compared_histogram(axes, generated, training, edges)
        axes.set(xlabel="atoms in the conventional cell", ylabel="% of crystals", xlim=(0, edges[-1]))
        _beyond(axes, generated, training, edges[-1])
    return figure


def elements_per_crystal(generated: np.ndarray, training: np.ndarray) -> Any:
    """Histogram of distinct elements; arguments are (B,) numbers of elements."""
    with figure_style():
        figure, axes = new_figure(PANEL)
        last = int(max(generated.max(), training.max()))
        _compared_histogram(axes, generated, training, np.arange(0.5, last + 1))
        axes.set(xlabel="distinct elements", ylabel="% of crystals")
        axes.set_xticks(range(1, last + 1))
    return figure


def densities(generated: np.ndarray, training: np.ndarray) -> Any:
    """Histogram of densities; arguments are (B,) g/cm³."""
    last = max(float(np.quantile(generated, 0.98)), float(np.quantile(training, 0.995)))
    with figure_style():
        figure, axes = new_figure(PANEL)
        _compared_histogram(axes, generated, training, np.linspace(0, last, 41))
        axes.set(xlabel="density, g/cm³", ylabel="% of crystals", xlim=(0, last))
        _beyond(axes, generated, training, last)
    return figure


def _beyond(axes: Any, generated: np.ndarray, training: np.ndarray, last: float) -> None:
    """Say how many crystals the axis leaves out."""
    share = [100 * float(np.mean(numbers > last)) for numbers in (generated, training)]
    if max(share) > 0:
        text = f"beyond the axis: {share[0]:.1f} % generated,\n{share[1]:.1f} % training"
        axes.text(0.985, 0.78, text, ha="right", va="top", transform=axes.transAxes, color=MUTED, fontsize=7.5)


def _compared_histogram(axes: Any, generated: np.ndarray, training: np.ndarray, edges: np.ndarray) -> None:
    share = [100 * np.histogram(numbers, edges)[0] / len(numbers) for numbers in (generated, training)]
    axes.stairs(share[0], edges, fill=True, color=GENERATED, alpha=0.75, label=f"generated (n = {len(generated):,})")
    axes.stairs(share[1], edges, color=REFERENCE, linewidth=1.8, label=f"training (n = {len(training):,})")
    axes.grid(axis="y")
    axes.set_ylim(bottom=0)
    axes.legend()


def element_shares(units: AsymmetricUnits) -> np.ndarray:
    """(119,) per cent of crystals that contain each element, by atomic number."""
    return 100 * (amounts(units) > 0).sum(axis=0) / len(units)


def place_in_table(number: int) -> tuple[int, float]:
    """Column 1..18 and row of an element in the long periodic table; the f block stands below, in rows 8.4 and 9.4."""
    if 57 <= number <= 71 or 89 <= number <= 103:
        return (number - 57 + 3, 8.4) if number < 80 else (number - 89 + 3, 9.4)
    noble = (0, 2, 10, 18, 36, 54, 86, 118)
    period = next(p for p in range(1, 8) if number <= noble[p])
    within, left = number - noble[period - 1], noble[period] - number
    if period == 1:
        return (1 if number == 1 else 18), 1
    return (within if within <= 2 else 18 - left), period


def periodic_table(generated: np.ndarray, training: np.ndarray, *, narrow: bool = False) -> Any:
    """Share of crystals with each element: colour and upper number generated, lower number training.

    Args:
        generated, training: (119,) per cent by atomic number, from `element_shares`.
        narrow: the left half above the right one, for a narrow screen.
    """
    with figure_style():
        if narrow:
            figure, (left, right) = new_figure((PANEL[0], 9.6), 2)
            spans = [(left, 0.4, 9.5), (right, 9.5, 18.6)]
        else:
            figure, axes = new_figure((WIDE[0], 5.4))
            spans = [(axes, 0.4, 18.6)]
        for axes, first, last in spans:
            _elements(axes, generated, training, (first, last), larger=1.2 if narrow else 1.0)
            axes.set(xlim=(first, last), ylim=(10.0, 0.4))
            axes.set_axis_off()
        _key(spans[-1][0], *((9.65, 0.5) if narrow else (5.53, 1.13)))
    return figure


def _elements(
    axes: Any, generated: np.ndarray, training: np.ndarray, span: tuple[float, float], *, larger: float
) -> None:
    """Draw the elements of the columns in `span`; `larger`: factor of the text."""
    from ase.data import chemical_symbols

    top = max(float(np.quantile(generated[generated > 0], 0.98)) if (generated > 0).any() else 1.0, 1e-9)
    for number in range(1, LAST_ELEMENT + 1):
        column, row = place_in_table(number)
        if not span[0] < column < span[1]:
            continue
        used = generated[number] > 0 or training[number] > 0
        strength = min(generated[number] / top, 1.0) ** 0.6
        _box(axes, column - 0.47, row - 0.47, facecolor=GENERATED, alpha=0.85 * strength, linewidth=0)
        _box(axes, column - 0.47, row - 0.47, fill=False, edgecolor=GRID, linewidth=0.7)
        look = {"weight": "bold", "color": INK} if used else {"color": MUTED}
        name = chemical_symbols[number]
        axes.text(column - 0.40, row - 0.12, name, fontsize=9.5 * larger, va="center", **look)
        if not used:
            continue
        for down, share, alpha in ((-0.16, generated, 1.0), (0.24, training, 0.75)):
            axes.text(
                column + 0.42, row + down, _percent(share[number]), fontsize=6.8 * larger, color=INK, alpha=alpha,
                ha="right", va="center",
            )  # fmt: skip
    for row, name in ((6, "57–71"), (7, "89–103")):
        if span[0] < 3 < span[1]:
            axes.text(3, row, name, fontsize=6.8 * larger, color=MUTED, ha="center", va="center")


def _key(axes: Any, left: float, top: float) -> None:
    """Explain the colour and the numbers, in a box like those of the elements."""
    _box(axes, left, top, facecolor=GENERATED, alpha=0.4, linewidth=0)
    axes.text(left + 0.07, top + 0.35, "X", fontsize=9.5, weight="bold", color=INK, ha="left", va="center")
    for down, text, colour in (
        (0.31, "% of generated crystals with X (and colour)", INK), (0.71, "% of training crystals with X", MUTED)
    ):  # fmt: skip
        axes.text(left + 1.12, top + down, text, fontsize=7.5, color=colour, va="center")


def _box(axes: Any, left: float, top: float, **look: Any) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((left, top), 0.94, 0.94, **look))


def _percent(value: float) -> str:
    return "0" if value == 0 else f"{value:.2f}" if value < 0.1 else f"{value:.1f}" if value < 10 else f"{value:.0f}"
