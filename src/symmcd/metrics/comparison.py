"""Several runs and the published systems in the tables of the paper (Levy et al., ICLR 2025), column by column."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from symmcd.metrics.intervals import FLOOR
from symmcd.metrics.published import (
    PAPER_SAMPLE,
    PUBLISHED_1,
    PUBLISHED_2,
    PUBLISHED_3,
    PUBLISHED_5,
    TABLE_1,
    TABLE_2,
    TABLE_3,
    TABLE_5,
    Column,
    Value,
    latex_row,
    markdown_row,
)

Row = Mapping[str, Any]
PUBLISHED_HULL = "matbench-discovery"  # that stability in the paper is measured over


@dataclass(frozen=True)
class Run:
    """The tables of one run, rows as in its files."""

    name: str
    summary: Sequence[Row]  # metrics/summary.csv
    sun: Sequence[Row] = ()  # sun.csv; empty where the run has none
    predictors: Sequence[Row] = ()  # predictor/table5.csv; empty where the run has none


@dataclass(frozen=True)
class Cell:
    """A value as printed, and its 95 % interval where there is one."""

    text: str
    interval: str = ""


@dataclass(frozen=True)
class Line:
    """One system or run."""

    name: str
    cells: Sequence[Cell]
    published: bool = False


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper with more lines."""

    number: int
    title: str
    head: Sequence[str]  # headings of the columns, that of the names first; Markdown and LaTeX read them
    lines: Sequence[Line] = field(default_factory=list)
    notes: Sequence[str] = ()


def paper_tables(runs: Sequence[Run], *, floors: bool = False) -> list[PaperTable]:
    """Tables 1 to 3: the published systems first, then each run by the paper's protocol and strictly.

    Args:
        runs: in the order of the lines.
        floors: below each run in Table 2, what as many crystals of the reference set score themselves.
    """
    return [_table_1(runs), _table_2(runs, floors=floors), _table_3(runs)]


def predictor_table(runs: Sequence[Run]) -> PaperTable:
    """Table 5: the published line first, then the predictors of each run; what a run lacks is noted with its reason."""
    lines = _published(TABLE_5, PUBLISHED_5)
    notes = [
        "Mean absolute error of the formation energy on the test set, eV/atom; S: the network knows the site symmetry."
        " Errors compare where networks are of one size and the data are the same."
    ]
    for run in runs:
        found = {row["variant"]: row for row in run.predictors}
        own = [found.get(column.metric, {}) for column in TABLE_5]
        cells = [_cell(c, r.get("mae"), r.get("low"), r.get("high")) for c, r in zip(TABLE_5, own, strict=True)]
        lines.append(Line(run.name, cells))
        if not run.predictors:
            notes.append(f"{run.name}: no predictor/table5.csv, run `symmcd predictor`.")
            continue
        there = [row for row, cell in zip(own, cells, strict=True) if cell.text != "–"]
        sizes = sorted({(int(row["train_crystals"]), int(row["n"])) for row in there})
        notes += [f"{run.name}: trained on {of:,} crystals, tested on {on:,}." for of, on in sizes]
        lacking: dict[str, list[str]] = {}
        for column, row, cell in zip(TABLE_5, own, cells, strict=True):
            if cell.text == "–":
                lacking.setdefault(str(row.get("note", "not in table5.csv")), []).append(column.heading)
        notes += [f"{run.name}, {'; '.join(which)}: – as {reason}." for reason, which in lacking.items()]
    return PaperTable(5, "formation energies predicted by DimeNet++", _head(TABLE_5), lines, notes)


def markdown(tables: Sequence[PaperTable]) -> str:
    """The tables one below the other."""
    parts = []
    for table in tables:
        lines = [markdown_row([line.name, *map(_with_interval, line.cells)]) for line in table.lines]
        rule = markdown_row(["---", *["---:"] * (len(table.head) - 1)])
        notes = ["", *table.notes] if table.notes else []
        parts.append("\n".join([f"**{_heading(table)}**", "", markdown_row(table.head), rule, *lines, *notes]))
    return "\n\n".join(parts) + "\n"


def latex(tables: Sequence[PaperTable]) -> str:
    """The tables as ``tabular`` environments; published and own lines are kept apart by a rule (booktabs)."""
    parts = []
    for table in tables:
        rows = {known: [] for known in (True, False)}  # type: dict[bool, list[str]]
        for line in table.lines:
            rows[line.published].append(latex_row([line.name, *map(_with_interval, line.cells)]))
        body = ["\\toprule", latex_row(table.head), "\\midrule", *rows[True], "\\midrule", *rows[False], "\\bottomrule"]
        begin = f"\\begin{{tabular}}{{l{'r' * (len(table.head) - 1)}}}"
        parts.append(
            "\n".join([f"% {_heading(table)}", begin, *body, "\\end{tabular}", *(f"% {n}" for n in table.notes)])
        )
    return "\n\n".join(parts) + "\n"


def _heading(table: PaperTable) -> str:
    return f"Table {table.number}: {table.title}"


def _table_1(runs: Sequence[Run]) -> PaperTable:
    def canonical(column: Column) -> tuple[str, str]:
        return column.metric.replace("templates", "templates_canonical"), "strict"

    lines = _published(TABLE_1, PUBLISHED_1)
    for run in runs:
        lines += [
            _line(run.name, TABLE_1, run.summary, lambda c: (c.metric, "paper")),
            _line(f"{run.name}, canonical", TABLE_1, run.summary, canonical),
        ]
    sizes = _sizes(runs, "templates_unique")
    notes = (
        "Canonical: letters up to the choice of origin and axes (the group's normaliser).",
        f"Counts grow with the number of crystals: {PAPER_SAMPLE:,} in the published lines; {sizes}.",
    )
    return PaperTable(1, "templates", _head(TABLE_1), lines, notes)


def _table_2(runs: Sequence[Run], *, floors: bool) -> PaperTable:
    lines = _published(TABLE_2, PUBLISHED_2)
    for run in runs:
        lines += [
            _line(f"{run.name}, paper's protocol", TABLE_2, run.summary, lambda c: (c.metric, "paper")),
            _line(f"{run.name}, strict", TABLE_2, run.summary, _strict(run.summary)),
        ]
        for protocol, name in (("paper", "paper's protocol"), ("strict", "strict")) if floors else ():
            floor = _line(f"test set itself, {name}", TABLE_2, run.summary, _floor(protocol))
            lines += [floor] if any(cell.text != "–" for cell in floor.cells) else []
    notes = [
        "Strict: self-images count, every crystal is in every column, one crystal must be near in both fingerprints;"
        " a column without a strict variant repeats the paper's.",
        "Distances by the paper's protocol are of 1,000 random valid crystals (means of draws where there are twice as"
        f" many), strict ones of all; {_sizes(runs)}.",
        "Published figures come without intervals.",
    ]
    if floors:
        notes.append(
            "Test set itself: as many crystals drawn from it, mean and middle 95 %. A published distance below that was"
            " hardly measured on so few."
        )
    if not any(row["metric"] == "formation_energy_wasserstein" for run in runs for row in run.summary):
        notes.append("d_E: – where no predictor of formation energies was trained.")
    return PaperTable(2, "validity, coverage and property distributions", _head(TABLE_2), lines, notes)


def _table_3(runs: Sequence[Run]) -> PaperTable:
    lines = _published(TABLE_3, PUBLISHED_3)
    notes = ["Published: of 1,000 crystals each, at most 0 eV/atom above the hull of the Materials Project (CHGNet)."]
    for run in runs:
        if not run.sun:
            notes.append(f"{run.name}: no sun.csv, run `symmcd sun`.")
        others = dict.fromkeys(row["hull"] for row in run.sun if row["hull"] != PUBLISHED_HULL)
        notes += [f"{run.name}, {hull}: another hull than the published, not to be compared." for hull in others]
        for row in run.sun:
            name = f"{run.name}, {row['threshold']:g} eV/atom, {row['hull']}{_draw(row)}, n = {int(row['n']):,}"
            cells = [_cell(c, row[c.metric], row[f"{c.metric}_low"], row[f"{c.metric}_high"]) for c in TABLE_3]
            if row.get("draw") == "all":
                cells = [
                    Cell(cell.text, f"{cell.interval}; sd {row[f'{column.metric}_sd']:.{column.digits}f}")
                    for cell, column in zip(cells, TABLE_3, strict=True)
                ]
            lines.append(Line(name, cells))
    if any(row.get("draw") == "all" for run in runs for row in run.sun):
        notes.append("Several draws: mean of the draws, 95 % interval of all their crystals; sd between draws.")
    return PaperTable(3, "stable, unique and novel", _head(TABLE_3), lines, notes)


def _draw(row: Row) -> str:
    """Which draw of crystals a row of sun.csv is of, where there are several."""
    if "draw" not in row:
        return ""
    return f", all {int(row['draws'])} draws" if row["draw"] == "all" else f", draw {row['draw']}"


def _head(columns: Sequence[Column]) -> list[str]:
    return ["Method", *(column.heading for column in columns)]


def _published(columns: Sequence[Column], rows: Mapping[str, Sequence[Value]]) -> list[Line]:
    return [
        Line(name, [_cell(c, v) for c, v in zip(columns, values, strict=True)], published=True)
        for name, values in rows.items()
    ]


def _line(name: str, columns: Sequence[Column], rows: Sequence[Row], key: Callable[[Column], tuple[str, str]]) -> Line:
    found = {(row["metric"], row["protocol"]): row for row in rows}
    own = [found.get(key(column), {}) for column in columns]
    return Line(
        name, [_cell(c, r.get("value"), r.get("low"), r.get("high")) for c, r in zip(columns, own, strict=True)]
    )


def _strict(rows: Sequence[Row]) -> Callable[[Column], tuple[str, str]]:
    strict = {row["metric"] for row in rows if row["protocol"] == "strict"}
    return lambda column: (column.metric, "strict" if column.metric in strict else "paper")


def _floor(protocol: str) -> Callable[[Column], tuple[str, str]]:
    return lambda column: (column.metric, f"{protocol}{FLOOR}")


def _sizes(runs: Sequence[Run], metric: str = "structural_validity") -> str:
    """``a: 10,000 crystals, b: 500 crystals``."""
    sizes = {run.name: next((int(row["n"]) for row in run.summary if row["metric"] == metric), 0) for run in runs}
    return ", ".join(f"{name}: {size:,} crystals" for name, size in sizes.items())


def _cell(column: Column, value: Any, low: Any = None, high: Any = None) -> Cell:
    there = [v is not None and math.isfinite(v) for v in (value, low, high)]
    if not there[0]:
        return Cell("–")
    interval = f"{low:.{column.digits}f}, {high:.{column.digits}f}" if all(there) else ""
    return Cell(f"{value:.{column.digits}f}", interval)


def _with_interval(cell: Cell) -> str:
    return f"{cell.text} [{cell.interval}]" if cell.interval else cell.text
