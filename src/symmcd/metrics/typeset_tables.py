"""Tables with published and own lines as text: Markdown and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from symmcd.storage import atomic_path

LATEX = str.maketrans(
    {c: f"\\{c}" for c in "_&%#${}"} | {"\\": "\\textbackslash{}", "^": "\\^{}", "~": "\\~{}", "–": "--"}
)
"""Characters with a meaning of their own in LaTeX, and what prints them."""


@dataclass(frozen=True)
class TableCell:
    """A value as printed, and its 95 % interval if there is one."""

    text: str
    interval: str = ""

    def __str__(self) -> str:
        return f"{self.text} [{self.interval}]" if self.interval else self.text


@dataclass(frozen=True)
class Line:
    """One system or run."""

    name: str
    cells: Sequence[TableCell]
    published: bool = False


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper with more lines."""

    number: int
    title: str
    head: Sequence[str]  # headings of the columns, that of the names first; Markdown and LaTeX read them
    lines: Sequence[Line] = field(default_factory=list)
    notes: Sequence[str] = ()

    @property
    def heading(self) -> str:
        """``Table 1: templates``."""
        return f"Table {self.number}: {self.title}"


def markdown(tables: Sequence[PaperTable], *, headed: bool = True) -> str:
    """The tables one below the other, each under its heading or without."""
    parts = []
    for table in tables:
        lines = [markdown_row([line.name, *map(str, line.cells)]) for line in table.lines]
        rule = markdown_row(["---", *["---:"] * (len(table.head) - 1)])
        heading = [f"**{table.heading}**", ""] if headed else []
        notes = ["", *table.notes] if table.notes else []
        parts.append("\n".join([*heading, markdown_row(table.head), rule, *lines, *notes]))
    return "\n\n".join(parts) + "\n"


def latex(tables: Sequence[PaperTable], *, headed: bool = True) -> str:
    """The tables as ``tabular`` environments; published and own lines are kept apart by a rule (booktabs)."""
    parts = []
    for table in tables:
        rows: dict[bool, list[str]] = {True: [], False: []}
        for line in table.lines:
            rows[line.published].append(latex_row([line.name, *map(str, line.cells)]))
        published = [*rows[True], "\\midrule"] if rows[True] else []
        body = ["\\toprule", latex_row(table.head), "\\midrule", *published, *rows[False], "\\bottomrule"]
        heading = [f"% {table.heading}"] if headed else []
        begin = f"\\begin{{tabular}}{{l{'r' * (len(table.head) - 1)}}}"
        notes = [f"% {note}" for note in table.notes]
        parts.append("\n".join([*heading, begin, *body, "\\end{tabular}", *notes]))
    return "\n\n".join(parts) + "\n"


def write_table(folder: Path, table: PaperTable) -> list[Path]:
    """Write ``tableN.md`` and ``tableN.tex``; their paths."""
    written = []
    for suffix, text in ((".md", markdown([table], headed=False)), (".tex", latex([table], headed=False))):
        written.append(folder / f"table{table.number}{suffix}")
        with atomic_path(written[-1]) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return written


def markdown_row(cells: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def latex_row(cells: Sequence[str]) -> str:
    """A line of a LaTeX table; what stands between two $ is mathematics, all else is text."""
    return f"{' & '.join(map(_latex, cells))} \\\\"


def _latex(cell: str) -> str:
    parts = re.split(r"(\$[^$]*\$)", cell)
    return "".join(part if i % 2 else part.translate(LATEX) for i, part in enumerate(parts))
