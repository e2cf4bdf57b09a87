"""The paper's tables on a page: published systems, and runs below them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from markupsafe import Markup, escape

from symmcd.report.page import Section, Table, Text


class _Cell(Protocol):
    @property
    def text(self) -> str: ...
    @property
    def interval(self) -> str: ...


class _Line(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def cells(self) -> Sequence[_Cell]: ...
    @property
    def published(self) -> bool: ...


class TableOfThePaper(Protocol):
    """What `symmcd.metrics.comparison.paper_tables` makes; this package does not import metrics."""

    @property
    def number(self) -> int: ...
    @property
    def title(self) -> str: ...
    @property
    def head(self) -> Sequence[str]: ...
    @property
    def lines(self) -> Sequence[_Line]: ...
    @property
    def notes(self) -> Sequence[str]: ...


def paper_section(tables: Sequence[TableOfThePaper]) -> Section:
    """Each table of the paper with its published lines, marked as such, and ours with 95 % intervals."""
    paragraph = Markup(
        "Columns as in Levy et al., ICLR 2025. <span class='published'>Published lines are in this colour</span>, as"
        " printed there; ours have 95 % intervals below them."
    )
    return Section("paper", "The paper's tables", paragraphs=(paragraph,), tables=[_table(table) for table in tables])


def _table(table: TableOfThePaper) -> Table:
    rows: list[Sequence[Text]] = []
    for line in table.lines:
        if line.published:
            mark = Markup("<span class='published'>{}</span>")
            rows.append((mark.format(line.name), *(mark.format(cell.text) for cell in line.cells)))
        else:
            cell_html = Markup("{}<small>{}</small>")
            rows.append(
                (Markup("<b>{}</b>").format(line.name), *(cell_html.format(c.text, c.interval) for c in line.cells))
            )
    caption = Markup("<b>Table {}, {}.</b> {}").format(table.number, table.title, " ".join(table.notes))
    return Table(
        caption=caption,
        head=[heading_html(text) for text in table.head],
        rows=rows,
        numbers=frozenset(range(1, len(table.head))),
        kind="stack",
    )


def heading_html(heading: str) -> Markup:
    r"""``$d_{elem}$`` and ``$d_\rho$`` with subscripts; other text as it is."""
    text = str(escape(heading)).replace("\\rho", "ρ")
    return Markup(re.sub(r"\$(\w)_\{?(\w+)\}?\$", r"\1<sub>\2</sub>", text))  # noqa: S704  (escaped)
