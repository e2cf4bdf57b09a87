"""One look for all figures, and their way onto the page: as files with their own colours, and inline with the page's.

Text, grid and background of an inline figure take the page's colours, so that it follows light and dark; the colours of
data are of middling lightness and legible on both.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from symmcd.storage import atomic_path

# Stand for roles; inline they become variables of the page.  Data never has these colours.
INK, MUTED, GRID, PAPER, BAND = "#1c2128", "#5d6673", "#dde1e6", "#fefefe", "#f1f3f6"
ROLES = {INK: "--ink", MUTED: "--muted", GRID: "--grid", PAPER: "--paper", BAND: "--band"}

# Told apart by lightness as well as hue, also by colour-blind eyes (after Okabe and Ito).
GENERATED = "#2f7fc1"  # blue: what the model made
REFERENCE = "#7d8693"  # grey: the training crystals
HIGHLIGHT = "#c8660f"  # orange: what is new, stable or before relaxation
PAPER_MARK = "#a4508b"  # purple: values published for SymmCD

PANEL = (5.2, 3.2)  # inches: half of the page's width
WIDE = (10.6, 3.5)  # the whole width; scrolls on a narrow screen
DPI = 160

RC = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.labelsize": 8.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.titlecolor": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.fonttype": "none",  # real text: it can be selected, searched and read aloud
    "path.simplify": True,
}


@contextlib.contextmanager
def figure_style() -> Iterator[None]:
    """Matplotlib settings of our figures, for the block only."""
    import matplotlib as mpl

    with mpl.rc_context(RC):
        yield


def new_figure(size: tuple[float, float], rows: int = 1, columns: int = 1, **subplots: Any) -> tuple[Any, Any]:
    """A figure without pyplot's global state, and its axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, **subplots)


def plain_log_ticks(axis: Any, ratio: float) -> None:
    """Ticks of a logarithmic axis as 0.5, 1, 2 and not as powers of ten; `ratio`: largest by smallest value."""
    axis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    labelled = "25" if ratio < 30 else ""
    axis.set_minor_formatter(lambda value, _: f"{value:,.10g}" if f"{value:.0e}"[0] in labelled else "")


def svg_text(figure: Any, name: str) -> str:
    """The figure as SVG, the same text every time for the same figure."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context(RC | {"svg.hashsalt": name}):
        # dpi: of what is drawn as an image within it
        figure.savefig(
            buffer, format="svg", dpi=DPI, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    return buffer.getvalue()


def save(figure: Any, folder: Path, name: str) -> str:
    """Write ``name.svg`` and ``name.png`` (on white) into `folder`; return the SVG."""
    import matplotlib as mpl

    text = svg_text(figure, name)
    with atomic_path(folder / f"{name}.svg") as temporary:
        temporary.write_text(text, encoding="utf-8")
    with mpl.rc_context(RC), atomic_path(folder / f"{name}.png") as temporary:
        figure.savefig(temporary, dpi=DPI, facecolor="white")
    return text


def inline(svg: str, name: str, alternative: str) -> str:
    """SVG for the body of the page: no prologue, colours and font of the page, ids of its own.

    Args:
        svg: from `svg_text`.
        name: put before every id, because ids of two figures would clash.
        alternative: what the figure shows, for readers who cannot see it.
    """
    import html

    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", body)
    body = re.sub(r'xlink:href="#([^"]+)"', rf'href="#{name}-\1"', body)
    body = re.sub(r"font: ([^;\"]*?[\d.]+px) [^;\"]+", r"font: \1 var(--font)", body)
    for colour, variable in ROLES.items():
        body = body.replace(colour, f"var({variable})")
    view = re.search(r'viewBox="[^"]+"', body)
    if view is None:
        raise ValueError(f"{name}: matplotlib wrote an svg without a viewBox")
    return (
        f'<svg {view.group(0)} role="img" aria-label="{html.escape(alternative)}">'
        + body[body.index(">") + 1 :].strip()
    )
