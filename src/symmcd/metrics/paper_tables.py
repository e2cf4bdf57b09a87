"""Tables 1, 2, 3 and 5 of the paper (Levy et al., SymmCD, ICLR 2025): its lines, and below them those of runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symmcd.crystallography.best_of import BestOf
from symmcd.metrics import oversampling
from symmcd.metrics.intervals import FLOOR, resolvable
from symmcd.metrics.oversampling import best_of_rows
from symmcd.metrics.published import CRYSTALS, HULL, JUDGED, systems
from symmcd.metrics.typeset_tables import Line, PaperTable, TableCell, write_table

TableRow = Mapping[str, Any]
Key = Callable[["Column"], tuple[str, str]]  # metric and protocol that a column shows
Naming = Callable[[TableRow], str]  # what a row of sun.csv is measured over, in words


@dataclass(frozen=True)
class Column:
    """A column of a table of the paper."""

    heading: str  # Markdown and LaTeX both read it
    metric: str  # metric of summary.csv or sun.csv, or variant of table5.csv
    digits: int
    share: bool = False  # %


TABLE_1 = (
    Column("# Unique", "templates_unique", 0),
    Column("% in Train", "templates_in_train", 1, share=True),
    Column("# New", "templates_new", 0),
)
TABLE_2 = (
    Column("Struct. %", "structural_validity", 2, share=True),
    Column("Comp. %", "compositional_validity", 2, share=True),
    Column("Recall %", "coverage_recall", 2, share=True),
    Column("Precision %", "coverage_precision", 2, share=True),
    Column("$d_\\rho$", "density_wasserstein", 4),
    Column("$d_E$", "formation_energy_wasserstein", 4),
    Column("$d_{elem}$", "element_count_wasserstein", 4),
    Column("$d_{sg}$", "space_group_jsd", 4),
)
TABLE_3 = (
    Column("Initial Stable %", "initially_stable", 1, share=True),
    Column("Relaxed Stable %", "relaxed_stable", 1, share=True),
    Column("Relaxed S.U.N. %", "sun", 1, share=True),
)
TABLE_5 = (
    Column("Multigraph", "multigraph", 4),
    Column("Multigraph, with S", "multigraph_site_symmetry", 4),
    Column("Asymm. Unit", "asymmetric_unit", 4),
    Column("Asymm. Unit, with S", "asymmetric_unit_site_symmetry", 4),
)
NO_INTERVALS = "Published figures come without intervals."
CANONICAL = "Canonical: letters up to the choice of origin and axes (the group's normaliser)."


@dataclass(frozen=True)
class Run:
    """The tables of one run, rows as in its files."""

    name: str
    summary: Sequence[TableRow]  # metrics/summary.csv
    sun: Sequence[TableRow] = ()  # sun.csv; empty if the run has none
    predictors: Sequence[TableRow] = ()  # predictor/table5.csv; empty if the run has none

    @property
    def best_of(self) -> BestOf | None:
        """Choice that made its crystals, if there was one.

        Raises:
            InputError: rows that do not say the same.
        """
        return best_of_rows([*self.summary, *self.sun], self.name, "summarise")

    @property
    def label(self) -> str:
        """Name of its lines: ``results, best of 20``."""
        return self.name if self.best_of is None else f"{self.name}, best of {self.best_of.drafts}"


def _hull_of(row: TableRow) -> str:
    return str(row["hull"])


def paper_tables(runs: Sequence[Run], *, floors: bool = False, naming: Naming = _hull_of) -> list[PaperTable]:
    """Tables 1 to 3: the published systems first, then each run by the paper's protocol and strictly.

    The published systems are left out where a stability model chose the crystals of every run.

    Args:
        runs: in the order of the lines.
        floors: show below each run in Table 2 the score of as many crystals of the reference set.
        naming: words on what a row of `Run.sun` is measured over; its hull, if there is a single judge.
    """
    return [_table_1(runs), _table_2(runs, floors=floors), _table_3(runs, naming)]


def predictor_table(runs: Sequence[Run]) -> PaperTable:
    """Table 5: the published line first, then the predictors of each run; what a run lacks is noted with its reason."""
    lines = _published(5, TABLE_5)
    notes = [
        "Mean absolute error of the formation energy on the test set, eV/atom; S: the network knows the site symmetry."
        " Compare errors only between networks of the same size on the same data."
    ]
    for run in runs:
        line = _predictors(run.name, run.predictors)
        lines.append(line)
        if not run.predictors:
            notes.append(f"{run.name}: no predictor/table5.csv, run `symmcd predictor`.")
            continue
        by_variant = {row["variant"]: row for row in run.predictors}
        own = [by_variant.get(column.metric, {}) for column in TABLE_5]
        there = [row for row, cell in zip(own, line.cells, strict=True) if cell.text != "–"]
        sizes = sorted({(int(row["train_crystals"]), int(row["n"])) for row in there})
        notes += [f"{run.name}: trained on {of:,} crystals, tested on {on:,}." for of, on in sizes]
        lacking: dict[str, list[str]] = {}
        for column, row, cell in zip(TABLE_5, own, line.cells, strict=True):
            if cell.text == "–":
                lacking.setdefault(str(row.get("note", "not in table5.csv")), []).append(column.heading)
        notes += [f"{run.name}, {'; '.join(which)}: – as {reason}." for reason, which in lacking.items()]
    return PaperTable(5, "formation energies predicted by DimeNet++", _head(TABLE_5), lines, notes)


def set_tables(rows: Sequence[TableRow]) -> list[PaperTable]:
    """Tables 1 and 2 with the lines of one set of crystals.

    Args:
        rows: of summary.csv.
    """
    by_metric = {(row["metric"], row["protocol"]): row for row in rows}
    runs = [Run("this set", rows)]
    label = runs[0].label
    note = f"{CANONICAL} Counts grow with the number of crystals"
    note += f"; the paper's are of {CRYSTALS:,}." if comparable(runs) else "."
    if ("templates_in_train", "paper") not in by_metric:
        note += " – : not computed, because there are no training crystals."
    own = [_line(label, TABLE_1, rows, _paper), _line(f"{label}, canonical", TABLE_1, rows, _canonical)]
    one = PaperTable(1, "templates", _head(TABLE_1), [*_beside(1, TABLE_1, runs), *own], [note, *_choices(runs)])
    own = [
        _line(f"{label}, paper's protocol", TABLE_2, rows, _paper),
        _line(f"{label}, strict", TABLE_2, rows, _strict(rows)),
    ]
    title = "validity, coverage and property distributions"
    notes = [_note_of_set(by_metric, published=comparable(runs)), *_choices(runs)]
    return [one, PaperTable(2, title, _head(TABLE_2), [*_beside(2, TABLE_2, runs), *own], notes)]


def predictors_of_run(rows: Sequence[TableRow]) -> PaperTable:
    """Table 5 with the line of one run.

    Args:
        rows: of table5.csv, one of each variant, ``variant, mae, low, high, n, train_crystals, note``.
    """
    note = "Mean absolute error of the formation energy on the test set, eV/atom, S the site symmetry; [95 % interval]."
    sizes = {(row["train_crystals"], row["n"]) for row in rows if row["mae"] is not None}
    for crystals, number in sorted(sizes):
        note += f" Trained on {crystals:,} crystals, tested on {number:,}."
    for reason in sorted({row["note"] for row in rows if row["mae"] is None}):
        note += f" – : {reason}."
    lines = [*_published(5, TABLE_5), _predictors("DimeNet++ (this run)", rows)]
    return PaperTable(5, "formation energies predicted by DimeNet++", _head(TABLE_5), lines, [note])


def write_tables(folder: Path, rows: Sequence[TableRow]) -> list[Path]:
    """Write table1.md, table1.tex, table2.md and table2.tex; their paths.

    Args:
        folder: that they are written to.
        rows: of summary.csv.
    """
    return [path for table in set_tables(rows) for path in write_table(folder, table)]


def write_stability_table(folder: Path, sun: Sequence[TableRow], naming: Naming = _hull_of) -> list[Path]:
    """Write table3.md and table3.tex, with the lines of one set of crystals; their paths.

    Args:
        folder: that they are written to.
        sun: rows of sun.csv.
        naming: as of `paper_tables`.
    """
    return write_table(folder, _table_3([Run("this set", (), sun)], naming))


def _table_1(runs: Sequence[Run]) -> PaperTable:
    lines = _beside(1, TABLE_1, runs)
    for run in runs:
        lines += [
            _line(run.label, TABLE_1, run.summary, _paper),
            _line(f"{run.label}, canonical", TABLE_1, run.summary, _canonical),
        ]
    published = f"{CRYSTALS:,} in the published lines; " if comparable(runs) else ""
    sizes = _sizes(runs, "templates_unique")
    notes = (CANONICAL, f"Counts grow with the number of crystals: {published}{sizes}.", *_choices(runs))
    return PaperTable(1, "templates", _head(TABLE_1), lines, notes)


def _table_2(runs: Sequence[Run], *, floors: bool) -> PaperTable:
    lines = _beside(2, TABLE_2, runs)
    for run in runs:
        lines += [
            _line(f"{run.label}, paper's protocol", TABLE_2, run.summary, _paper),
            _line(f"{run.label}, strict", TABLE_2, run.summary, _strict(run.summary)),
        ]
        for protocol, name in (("paper", "paper's protocol"), ("strict", "strict")) if floors else ():
            floor = _line(f"test set itself, {name}", TABLE_2, run.summary, _floor(protocol))
            lines += [floor] if any(cell.text != "–" for cell in floor.cells) else []
    notes = [
        "Strict: self-images count, every crystal is in every column, one crystal must be near in both fingerprints;"
        " a column without a strict variant repeats the paper's.",
        "Distances by the paper's protocol are of 1,000 random valid crystals (means of draws where there are twice as"
        f" many), strict ones of all; {_sizes(runs)}.",
        *([NO_INTERVALS] if comparable(runs) else []),
    ]
    if floors:
        hardly = " A published distance below that was hardly measured on so few." if comparable(runs) else ""
        notes.append(f"Test set itself: as many crystals drawn from it, mean and middle 95 %.{hardly}")
    if not any(row["metric"] == "formation_energy_wasserstein" for run in runs for row in run.summary):
        notes.append("d_E: – where no predictor of formation energies was trained.")
    notes += _choices(runs)
    return PaperTable(2, "validity, coverage and property distributions", _head(TABLE_2), lines, notes)


def _note_of_set(by_metric: Mapping[tuple[str, str], TableRow], *, published: bool) -> str:
    """Note on what the numbers of Table 2 cannot distinguish, and why some are missing."""
    note = NO_INTERVALS if published else ""
    ours = {column: by_metric.get((column.metric, "paper")) for column in TABLE_2}
    first = ours[TABLE_2[0]]
    size = int(first["n"]) if first else 0
    if size:
        smallest = [
            f"{column.heading} {100 * resolvable(row['value'] / 100, size):.1f}"
            for column, row in ours.items()
            if column.share and row and row["value"] not in (None, 0, 100) and column.metric != "coverage_recall"
        ]
        note += (
            f" {size:,} crystals tell two such sets apart (95 %, power 80 %) from differences, in points, of:"
            f" {', '.join(smallest)}."
        )
    missing = {column.metric for column, row in ours.items() if row is None}
    if "formation_energy_wasserstein" in missing:
        why = by_metric.get(("formation_energy_error", "paper"), {}).get("note") or "no predictor of formation energies"
        note += f" $d_E$ – : {why}."
    if missing - {"formation_energy_wasserstein"}:
        note += " – : not computed, because there are no reference crystals."
    return note.lstrip()


def _table_3(runs: Sequence[Run], naming: Naming) -> PaperTable:
    lines = _beside(3, TABLE_3, runs)
    published = f"of {JUDGED:,} crystals each, at most 0 eV/atom above the hull of the Materials Project (CHGNet)"
    notes = [f"Published: {published}."] if comparable(runs) else []
    for run in runs:
        if not run.sun:
            notes.append(f"{run.name}: no sun.csv, run `symmcd sun`.")
        first = next((row.get("judge") for row in run.sun), None)
        others: dict[str, dict[str, None]] = {}
        for row in run.sun if run.best_of is None else ():
            if row["hull"] != HULL or row.get("judge") != first:
                others.setdefault("hull" if row["hull"] != HULL else "judge", {})[naming(row)] = None
        notes += [
            f"{run.name}, {'; '.join(over)}: another {what} than the published, not to be compared."
            for what, over in others.items()
        ]
        for row in run.sun:
            name = f"{run.label}, {row['threshold']:g} eV/atom, {naming(row)}{draw_of(row)}, n = {int(row['n']):,}"
            cells = [_cell(c, row[c.metric], row[f"{c.metric}_low"], row[f"{c.metric}_high"]) for c in TABLE_3]
            spreads = [spread_of(row, column.metric, column.digits) for column in TABLE_3]
            cells = [
                TableCell(cell.text, f"{cell.interval}; sd {spread}") if spread else cell
                for cell, spread in zip(cells, spreads, strict=True)
            ]
            lines.append(Line(name, cells))
    if any(row.get("draw") == "all" for run in runs for row in run.sun):
        notes.append("Several draws: mean of the draws, 95 % interval of all their crystals; sd between draws.")
    notes += _choices(runs)
    for run in runs:
        # "all" is what all judges say together
        judges = list(dict.fromkeys(row["judge"] for row in run.sun if row.get("judge", "all") != "all"))
        if run.best_of is not None and (of_judges := oversampling.of_judges(run.best_of, judges)):
            notes.append(f"{run.label}: {of_judges}")
    return PaperTable(3, "stable, unique and novel", _head(TABLE_3), lines, notes)


def draw_of(row: TableRow) -> str:
    """Name of the draw that a row of sun.csv describes, to put behind other words; empty if there is only one."""
    if "draw" not in row:
        return ""
    return f", all {int(row['draws'])} draws" if row["draw"] == "all" else f", draw {row['draw']}"


def spread_of(row: TableRow, rate: str, digits: int = 1) -> str:
    """Standard deviation of a rate between draws, in points of per cent; empty if it is not known."""
    spread = row.get(f"{rate}_sd", math.nan) if row.get("draw") == "all" else math.nan
    return f"{spread:.{digits}f}" if math.isfinite(spread) else ""


def _head(columns: Sequence[Column]) -> list[str]:
    return ["Method", *(column.heading for column in columns)]


def _beside(number: int, columns: Sequence[Column], runs: Sequence[Run]) -> list[Line]:
    """The published lines, if there is a run that they may stand beside: published systems choose nothing."""
    return _published(number, columns) if comparable(runs) else []


def comparable(runs: Sequence[Run]) -> bool:
    """Return whether published systems may stand beside one of the runs."""
    return any(run.best_of is None for run in runs)


def _choices(runs: Sequence[Run]) -> list[str]:
    """Note on runs whose crystals were chosen."""
    notes = [f"{run.label}: {oversampling.sentence(run.best_of)}" for run in runs if run.best_of is not None]
    return [*notes, oversampling.NOTHING_PUBLISHED] if notes else []


def _published(number: int, columns: Sequence[Column]) -> list[Line]:
    return [
        Line(name, [TableCell(values.get(column.metric, "–")) for column in columns], published=True)
        for name, values in systems(number).items()
    ]


def _predictors(name: str, rows: Iterable[TableRow]) -> Line:
    by_variant = {row["variant"]: row for row in rows}
    own = [by_variant.get(column.metric, {}) for column in TABLE_5]
    return Line(name, [_cell(c, r.get("mae"), r.get("low"), r.get("high")) for c, r in zip(TABLE_5, own, strict=True)])


def _line(name: str, columns: Sequence[Column], rows: Sequence[TableRow], key: Key) -> Line:
    by_metric = {(row["metric"], row["protocol"]): row for row in rows}
    own = [by_metric.get(key(column), {}) for column in columns]
    return Line(
        name, [_cell(c, r.get("value"), r.get("low"), r.get("high")) for c, r in zip(columns, own, strict=True)]
    )


def _paper(column: Column) -> tuple[str, str]:
    return column.metric, "paper"


def _canonical(column: Column) -> tuple[str, str]:
    return column.metric.replace("templates", "templates_canonical"), "strict"


def _strict(rows: Sequence[TableRow]) -> Key:
    """Key of the strict protocol, or of the paper's for a metric without a strict variant."""
    strict = {row["metric"] for row in rows if row["protocol"] == "strict"}
    return lambda column: (column.metric, "strict" if column.metric in strict else "paper")


def _floor(protocol: str) -> Key:
    return lambda column: (column.metric, f"{protocol}{FLOOR}")


def _sizes(runs: Sequence[Run], metric: str = "structural_validity") -> str:
    """``a: 10,000 crystals, b: 500 crystals``."""
    sizes = {run.name: next((int(row["n"]) for row in run.summary if row["metric"] == metric), 0) for run in runs}
    return ", ".join(f"{name}: {size:,} crystals" for name, size in sizes.items())


def _cell(column: Column, value: Any, low: Any = None, high: Any = None) -> TableCell:
    there = [v is not None and math.isfinite(v) for v in (value, low, high)]
    if not there[0]:
        return TableCell("–")
    interval = f"{low:.{column.digits}f}, {high:.{column.digits}f}" if all(there) else ""
    return TableCell(f"{value:.{column.digits}f}", interval)
