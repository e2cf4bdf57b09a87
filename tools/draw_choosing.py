"""Draw docs/images/choosing.png from the tables of docs/stability-model.md, so that picture and tables agree.

    python tools/draw_choosing.py docs/stability-model.md docs/images/choosing.png

Left: rank correlation of predicted and relaxed energies against the number of labels.  Right: S.U.N. at 0.1 eV/atom
above the hull of the table, as drawn, behind the guards and chosen, by each judge and by both, with 95 % intervals.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

LABELS = "| fitted to | Spearman |"
STABLE = "| judge, hull, eV/atom |"
JUDGES = {"CHGNet": "#b3541e", "SevenNet-0": "#2b6ca3", "both": "#222222"}


def table(text: str, head: str) -> list[list[str]]:
    """Cells of the table that begins with `head`, its heading first."""
    start = text.index(head)
    lines = text[start : text.index("\n\n", start)].splitlines()
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines if not re.fullmatch(r"[|\-\s]+", line)
    ]


def with_interval(cell: str) -> tuple[float, float, float]:
    value, low, high = map(float, re.findall(r"\d+\.\d+", cell)[:3])
    return value, low, high


def draw_labels(axes: plt.Axes, rows: Sequence[Sequence[str]]) -> None:
    number = [int(re.findall(r"[\d,]+", row[0])[-1].replace(",", "")) for row in rows]
    number[-1] = number[-1] * 4 // 5 if "four fifths" in rows[-1][0] else number[-1]
    points = sorted({n: float(row[1].split()[0]) for n, row in zip(number, rows, strict=True)}.items())
    axes.semilogx([n for n, _ in points], [value for _, value in points], "o-", color=JUDGES["both"], lw=1.5, ms=4)
    axes.set(xlabel="labels (relaxed crystals)", ylabel="rank correlation, new compositions", ylim=(0.5, 0.75))
    axes.set_title("What labels teach", loc="left")


def draw_stable(axes: plt.Axes, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    ways = ["as drawn (N = 1)" if name == "N = 1" else name for name in head[1:]]
    for shift, (judge, colour) in zip((-0.25, 0, 0.25), JUDGES.items(), strict=True):
        cells = next(row[1:] for row in rows if row[0] == f"{judge}, table, ≤ 0.1")
        for place, cell in enumerate(cells):
            if cell:
                value, low, high = with_interval(cell)
                axes.bar(place + shift, value, 0.23, color=colour, label=judge if place == 0 else None)
                axes.errorbar(place + shift, value, [[value - low], [high - value]], color="#777777", lw=1, capsize=2)
    lines = [way.replace(", ", ",\n").replace(" (", "\n(").replace("only", "\nonly") for way in ways]
    axes.set_xticks(range(len(lines)), lines)
    axes.set(ylabel="S.U.N. at 0.1 eV/atom, %", ylim=(0, 100))
    axes.set_title("What choosing gains", loc="left")
    axes.legend(frameon=False, loc="upper left", ncols=3)


def main() -> None:
    source, output = map(Path, sys.argv[1:])
    text = source.read_text(encoding="utf-8")
    head, *stable = table(text, STABLE)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), width_ratios=(2, 3), layout="constrained")
    draw_labels(left, table(text, LABELS)[1:])
    draw_stable(right, head, stable)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(output, dpi=150)


if __name__ == "__main__":
    main()
