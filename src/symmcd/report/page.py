"""The page: sections of paragraphs, figures and tables, put into one HTML file that needs nothing from outside."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from symmcd.report import style
from symmcd.storage import atomic_path

# Text is escaped; what is meant as HTML is a Markup.
Text = str | Markup


@dataclass(frozen=True)
class PlacedFigure:
    svg: Markup
    caption: Text
    wide: bool = False
    narrow: Markup | None = None  # shown in its place on a narrow screen


@dataclass(frozen=True)
class Drawing:
    png: str  # base64
    width: int
    height: int
    caption: Text
    alternative: str


@dataclass(frozen=True)
class Table:
    caption: Text
    head: Sequence[Text]
    rows: Sequence[Sequence[Text]]
    numbers: frozenset[int] = frozenset()  # columns set to the right
    kind: str = ""  # class in the style sheet
    half: bool = False  # half as wide as the page, beside a figure
    folded: str = ""  # shown only after a click on these words

    @property
    def marked(self) -> list[bool]:
        """Flags of the headings that have elements, such as subscripts, which an attribute cannot hold."""
        return [isinstance(name, Markup) and "<" in name for name in self.head]


@dataclass(frozen=True)
class Section:
    name: str
    title: str
    paragraphs: Sequence[Text] = ()
    facts: Sequence[tuple[Text, Text]] = ()
    points: Sequence[Text] = ()
    drawings: Sequence[Drawing] = ()
    first: Sequence[Table] = ()  # above the figures
    figures: Sequence[PlacedFigure] = ()
    tables: Sequence[Table] = ()
    block: Text = ""  # other content, below the tables
    scripts: Sequence[Markup] = ()  # that the block needs, in this order; each is put into the page once
    notes: Sequence[Text] = ()


def place(
    figure: Any, folder: Path, name: str, caption: Text, alternative: str, *, wide: bool = False, narrow: Any = None
) -> PlacedFigure:
    """Save a figure as ``name.svg`` and ``name.png`` in `folder` and make it ready for the page.

    Args:
        figure: matplotlib's.
        folder: for the files.
        name: of the files, without ending.
        caption: below the figure.
        alternative: what the figure shows, for readers who cannot see it.
        wide: as wide as the page.
        narrow: the same as a figure for a narrow screen; it is on the page alone.
    """
    svg = Markup(style.inline(style.save(figure, folder, name), name, alternative))  # noqa: S704  (our own svg)
    other = None
    if narrow is not None:
        own = f"{name}_narrow"
        other = Markup(style.inline(style.svg_text(narrow, own), own, alternative))  # noqa: S704
    return PlacedFigure(svg, caption, wide, other)


def place_drawing(image: np.ndarray, folder: Path, name: str, caption: Text, alternative: str) -> Drawing:
    """Save an RGBA image as ``name.png`` in `folder` and make it ready for the page."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image, "RGBA").save(buffer, format="png", optimize=True)
    with atomic_path(folder / f"{name}.png") as temporary:
        temporary.write_bytes(buffer.getvalue())
    height, width = image.shape[:2]
    return Drawing(base64.b64encode(buffer.getvalue()).decode(), width, height, caption, alternative)


def template(name: str) -> Any:
    """A template of this package; values are escaped, unless they are Markup.

    Args:
        name: of the file in ``templates/``.
    """
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(template_text(name))


def template_text(name: str) -> Markup:
    """A file of ``templates/`` as it is: our own style sheets and scripts."""
    path = resources.files("symmcd.report") / "templates" / name
    return Markup(path.read_text(encoding="utf-8"))  # noqa: S704  (our own file)


def write_page(path: Path, title: str, lead: Text, sections: Sequence[Section], footer: Text) -> None:
    """Write the page."""
    text = template("page.html.j2").render(
        title=title,
        lead=lead,
        sections=sections,
        footer=footer,
        css=template_text("page.css"),
        scripts=list(dict.fromkeys(script for section in sections for script in section.scripts)),
    )
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
