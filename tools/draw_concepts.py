"""Draw the pictures of docs/concepts.md: what is drawn is computed by the package, none of it by hand.

python tools/draw_concepts.py docs/images
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.orbit import replicate_flat
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.stability_model.materials import SPLITS, hull, materials

INK, GREY, LINE = "#222222", "#8a8a8a", "#c4c4c4"
BLUE, RED, GREEN, AMBER = "#2f6db3", "#c8402f", "#2b8a5a", "#d99a1c"
SEED = 3


def asymmetric_unit() -> Figure:
    """Rutile: what the model works on, and the cell that follows."""
    unit = AsymmetricUnit(136, np.diag([4.594, 4.594, 2.959]), [22, 8], ("a", "f"), [[0, 0, 0], [0.305, 0.305, 0]])
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 3.6), width_ratios=[1.15, 1, 1])
    left.axis("off")
    lines = ["space group  136, P4₂/mnm", "a = b = 4.594 Å, c = 2.959 Å", "", "Ti   2a   (0, 0, 0)"]
    lines += ["O    4f   (x, x, 0)   x = 0.305", "", "free: a, c and x"]
    for row, line in enumerate(lines):
        left.text(0, 0.86 - 0.11 * row, line, fontsize=11, color=GREY if row == 6 else INK)
    whole = replicate_flat(AsymmetricUnits.from_units([unit]))
    for axes, atoms, title in ((middle, (0, 2), "asymmetric unit: 2 atoms"), (right, range(6), "cell: 6 atoms")):
        _cell(axes, 1.0, 1.0)
        for atom in atoms:
            x, y, z = whole.position[atom]
            for dx in (0, 1):
                for dy in (0, 1):
                    at = x + dx, y + dy
                    images = axes is right and max(at) <= 1.001
                    if images or (dx, dy) == (0, 0):
                        titanium = whole.element[atom] == 22
                        _atom(axes, at, BLUE if titanium else RED, 21 if titanium else 15, f"{z:g}".replace("0.5", "½"))
        axes.set_title(title, fontsize=11, color=INK)
    _arrow(figure, (0.635, 0.5), (0.685, 0.5))
    return figure


def wyckoff_positions() -> Figure:
    """All positions of P4mm, seen along c, each with one orbit."""
    table = wyckoff_table()
    rows = range(table.start[98], table.start[99])
    figure, axes = plt.subplots(1, 7, figsize=(11, 2.5))
    for place, row in zip(axes, rows, strict=True):
        template, constant = table.generator[row][:, :3], table.generator[row][:, 3]
        atoms, _ = table.orbit(np.array([row]), (template @ np.array([0.13, 0.31, 0.2]) + constant)[None])
        _cell(place, 1.0, 1.0)
        for lines in (((0, 0), (0, 1)), ((0, 1), (0, 0)), ((0.5, 0.5), (0, 1)), ((0, 1), (0.5, 0.5)), ((0, 1), (0, 1)),
                      ((0, 1), (1, 0)), ((1, 1), (0, 1)), ((0, 1), (1, 1))):  # fmt: skip
            place.plot(*lines, color=LINE, linewidth=0.8, zorder=0)
        for x, y, _z in atoms:
            for dx in (0, 1):
                for dy in (0, 1):
                    if x + dx <= 1.001 and y + dy <= 1.001:
                        _atom(place, (x + dx, y + dy), BLUE, 8, faded=bool(dx or dy))
        free = int(table.degrees_of_freedom[row])
        place.set_title(f"{table.multiplicity[row]}{table.letter[row]}", fontsize=12, color=INK)
        place.set_xlabel(f"{free} free number{'s' * (free != 1)}", fontsize=9, color=GREY)
    return figure


def staged_model() -> Figure:
    """The two stages on SnS (Pnma): symbols first, then a geometry out of noise that keeps the group."""
    rng = np.random.default_rng(SEED)
    figure = plt.figure(figsize=(11.5, 3.1))
    grid = figure.add_gridspec(1, 7, width_ratios=[1.15, 0.05, 1.35, 1, 1, 1, 1])
    group, letters = figure.add_subplot(grid[0]), figure.add_subplot(grid[2])
    _box(group, "1  space group", ["62", "Pnma"])
    _box(letters, "2  sites, elements", ["Sn on 4c", "S on 4c", "end"])
    true = np.array([[0.118, 0.25, 0.123], [0.852, 0.25, 0.478]])
    noise = rng.normal(size=(2, 3)) * np.array([1.0, 0.0, 1.0])  # y = ¼ is fixed by 4c
    for step, sigma in enumerate((0.30, 0.12, 0.04, 0.0)):
        axes = figure.add_subplot(grid[3 + step])
        stretch = 1 + 0.6 * sigma * np.array([1.0, 0.6, -0.8])
        cell = np.diag(np.array([11.20, 3.99, 4.33]) * stretch)
        unit = AsymmetricUnit(62, cell, [50, 16], ("c", "c"), (true + sigma * noise) % 1, apart=False)
        whole = replicate_flat(AsymmetricUnits.from_units([unit]))
        height, width = cell[0, 0] / 11.2 * 1.3, cell[2, 2] / 11.2 * 1.3
        _cell(axes, width, height)
        for element, (x, _, z) in zip(whole.element, whole.position, strict=True):
            _atom(axes, (z * width, x * height), BLUE if element == 50 else AMBER, 13 if element == 50 else 9)
        axes.set_xlim(-0.12, 0.72)
        axes.set_ylim(-0.1, 1.6)
        title = ("3  from noise …", "less", "little", "crystal")[step]
        axes.set_title(title, fontsize=11, color=INK)
        axes.set_xlabel("always Pnma", fontsize=9, color=GREY)
    for left in (0.253, 0.427):
        _arrow(figure, (left, 0.5), (left + 0.022, 0.5))
    return figure


def hulls() -> Figure:
    """Al–Ni from MP-20's materials, and what is left of relaxed crystals (docs/evaluation.md has the figures)."""
    known = [m for m in materials() if m.formula.replace("Al", "").replace("Ni", "").isdigit() or m.formula == "AlNi"]
    known = [m for m in known if "Al" in m.formula and "Ni" in m.formula]
    convex = hull(SPLITS)
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), width_ratios=[1.35, 1])
    share, energy, above = [], [], []
    for material in known:
        point = convex.at(material.formula)
        share.append(_share_of_nickel(material.formula))
        energy.append(material.formation_energy_per_atom)
        above.append(material.formation_energy_per_atom - point.formation_energy_per_atom)
    stable = [i for i, e in enumerate(above) if e < 1e-6]
    corners = sorted([(0.0, 0.0), (1.0, 0.0), *((share[i], energy[i]) for i in stable)])
    left.plot(*zip(*corners, strict=True), color=BLUE, linewidth=1.6, zorder=1)
    for i, material in enumerate(known):
        on = i in stable
        left.plot(share[i], energy[i], "o", color=BLUE if on else GREY, markersize=7 if on else 5, zorder=2)
        if on:
            label = f"{_subscripts(material.formula)}"
            left.annotate(label, (share[i], energy[i]), (0, -13), textcoords="offset points", ha="center", fontsize=9)
    x, y = 2 / 3, -0.40
    floor = convex.at("AlNi2").formation_energy_per_atom
    left.plot(x, y, "*", color=RED, markersize=13, zorder=3)
    left.annotate("", (x, floor), (x, y), arrowprops={"arrowstyle": "<->", "color": RED})
    words = f"{1000 * (y - floor):.0f} meV/atom\nabove the hull"
    left.text(x - 0.015, y + 0.02, words, fontsize=9, color=RED, ha="right", va="bottom")
    left.set(xlabel="share of Ni", ylabel="formation energy, eV/atom", xlim=(0, 1), ylim=(-0.76, 0.03))
    left.set_title("Al–Ni: known phases, their hull, a candidate (star)", fontsize=11, color=INK)
    steps = {"relaxed": 100.0, "stable by CHGNet": 63.7, "… and unique, novel": 44.1, "… by SevenNet-0 too": 37.0}
    for row, (name, value) in enumerate(steps.items()):
        right.barh(-row, value, color=(LINE, BLUE, GREEN, GREEN)[row], alpha=0.85 if row < 3 else 0.6, height=0.62)
        right.text(2, -row, f"{name}: {value:.1f} %", va="center", fontsize=10, color=INK)
    right.set_title("of 5,000 generated crystals, 0.1 eV/atom", fontsize=11, color=INK)
    right.axis("off")
    for side in ("top", "right"):
        left.spines[side].set_visible(False)
    return figure


PICTURES: dict[str, Callable[[], Figure]] = {
    "asymmetric-unit.svg": asymmetric_unit,
    "wyckoff-positions.svg": wyckoff_positions,
    "staged-model.svg": staged_model,
    "hulls.svg": hulls,
}


def _share_of_nickel(formula: str) -> float:
    from pymatgen.core import Composition

    return Composition(formula).get_atomic_fraction("Ni")


def _subscripts(formula: str) -> str:
    return formula.translate({ord("0") + digit: 0x2080 + digit for digit in range(10)})


def _cell(axes: Axes, width: float, height: float) -> None:
    axes.plot([0, width, width, 0, 0], [0, 0, height, height, 0], color=GREY, linewidth=1, zorder=1)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlim(-0.12, width + 0.12)
    axes.set_ylim(-0.12, height + 0.12)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _atom(
    axes: Axes, at: tuple[float, float], colour: str, size: float, text: str = "", *, faded: bool = False
) -> None:
    axes.plot(*at, "o", color=colour, markersize=size, markeredgecolor="white", alpha=0.35 if faded else 1.0, zorder=3)
    if text:
        axes.text(*at, text, color="white", ha="center", va="center", fontsize=8, zorder=4)


def _box(axes: Axes, title: str, lines: list[str]) -> None:
    axes.axis("off")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_title(title, fontsize=11, color=INK)
    style = {"boxstyle": "round,pad=0.03", "facecolor": "#eef3f9", "edgecolor": BLUE}
    axes.add_patch(FancyBboxPatch((0.08, 0.22), 0.78, 0.62, **style))
    for row, line in enumerate(lines):
        axes.text(0.47, 0.53 + 0.17 * ((len(lines) - 1) / 2 - row), line, ha="center", va="center", fontsize=12)


def _arrow(figure: Figure, start: tuple[float, float], end: tuple[float, float]) -> None:
    arrow = FancyArrowPatch(start, end, transform=figure.transFigure, arrowstyle="-|>", mutation_scale=16, color=GREY)
    figure.add_artist(arrow)


def main() -> None:
    folder = Path(sys.argv[1])
    plt.rcParams.update({"svg.hashsalt": "symmcd", "font.family": "DejaVu Sans", "savefig.facecolor": "white"})
    for name, draw in PICTURES.items():
        figure = draw()
        figure.savefig(folder / name, bbox_inches="tight", metadata={"Date": None})
        plt.close(figure)
        print(f"wrote {folder / name}")


if __name__ == "__main__":
    main()
