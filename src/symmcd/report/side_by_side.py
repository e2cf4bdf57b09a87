"""The paper's tables on a page: published systems, and runs below them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup, escape

from symmcd.metrics.paper_tables import TABLE_5
from symmcd.metrics.published import of_symmcd
from symmcd.metrics.typeset_tables import PaperTable
from symmcd.report.page import Section, Table, Text


def paper_section(tables: Sequence[PaperTable], more: Sequence[Table] = ()) -> Section:
    """Each table of the paper with its published lines, marked as such, and ours with 95 % intervals; then `more`."""
    paragraph = Markup(
        "Columns as in Levy et al., ICLR 2025. <span class='published'>Published lines are in this colour</span>, as"
        " printed there; ours have 95 % intervals below them."
    )
    if not any(line.published for table in tables for line in table.lines):
        paragraph = Markup("Columns as in Levy et al., ICLR 2025; 95 % intervals below the values.")
    return Section("paper", "The paper's tables", paragraphs=(paragraph,), tables=[*map(_table, tables), *more])


def predictor_table(rows: Any) -> Table:
    """Table 5 as it stands in predictor/table5.csv (data frame), whichever networks were trained."""
    cells = [
        [f"{value:.4g}" if isinstance(value, float) else str(value) for value in row] for row in rows.to_numpy(object)
    ]
    numbers = frozenset(i for i, name in enumerate(rows.columns) if rows[name].dtype.kind in "fi")
    caption = Markup(
        "<b>Table 5, formation energies predicted by DimeNet++.</b> Mean absolute error on the test set, eV/atom."
        " <span class='published'>Published: multigraph {}, with site symmetry {}; asymmetric unit {}, with"
        " site symmetry {}.</span>"
    ).format(*(of_symmcd(column.metric) for column in TABLE_5))
    return Table(caption, [name.replace("_", " ") for name in rows.columns], cells, numbers, kind="stack")


def _table(table: PaperTable) -> Table:
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
    caption = Markup("<b>Table {}, {}.</b> {}").format(table.number, table.title, note_html(" ".join(table.notes)))
    return Table(
        caption=caption,
        head=[heading_html(text) for text in table.head],
        rows=rows,
        numbers=frozenset(range(1, len(table.head))),
        kind="stack",
    )


def note_html(note: str) -> Markup:
    """Commands between backticks as code; other text as it is."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(note))))  # noqa: S704  (escaped)


def heading_html(heading: str) -> Markup:
    r"""``$d_{elem}$`` and ``$d_\rho$`` with subscripts; other text as it is."""
    text = str(escape(heading)).replace("\\rho", "ρ")
    return Markup(re.sub(r"\$(\w)_\{?(\w+)\}?\$", r"\1<sub>\2</sub>", text))  # noqa: S704  (escaped)
