"""Our rows beside the published ones: Tables 1 and 2 of Levy et al. (ICLR 2025), as Markdown and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symmcd.metrics.intervals import resolvable
from symmcd.storage import atomic_path

Value = float | None


@dataclass(frozen=True)
class Column:
    """A column of a table of the paper, and the metric of summary.csv that it is."""

    heading: str  # Markdown and LaTeX both read it
    metric: str  # "" for what no stage computes yet
    digits: int
    share: bool = False  # %


TABLE_1 = (
    Column("# Unique", "templates_unique", 0),
    Column("% in Train", "templates_in_train", 1, share=True),
    Column("# New", "templates_new", 0),
)
PUBLISHED_1: dict[str, tuple[Value, ...]] = {
    "Training Set": (3318, 100, None),
    "CDVAE": (797, 28.7, 568),
    "DiffCSP": (1347, 43.2, 764),
    "DiffCSP++": (1905, 94.2, 110),
    "FlowMM": (1291, 41.7, 753),
    "SymmCD": (2794, 40.8, 1654),
}
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
PUBLISHED_2: dict[str, tuple[Value, ...]] = {
    "CDVAE": (99.93, 86.93, 98.31, 99.35, 0.9144, 0.1645, 1.6538, 0.7263),
    "DiffCSP": (99.61, 82.23, 99.53, 99.35, 0.2565, 0.1402, 0.4027, 0.4446),
    "DiffCSP++": (99.99, 85.81, 99.48, 99.66, 0.2779, 0.0872, 0.4079, 0.0771),
    "FlowMM": (96.43, 83.37, 99.47, 99.71, 0.2905, 0.1072, 0.0788, 0.5137),
    "SymmCD (All SGs)": (94.32, 85.85, 99.64, 98.87, 0.0901, 0.1166, 0.3990, 0.0899),
    "SymmCD (10 SGs)": (97.31, 87.10, 97.21, 99.42, 0.2829, 0.1510, 0.1769, 0.4737),
}
TABLE_3 = (
    Column("Initial Stable %", "initially_stable", 1, share=True),
    Column("Relaxed Stable %", "relaxed_stable", 1, share=True),
    Column("Relaxed S.U.N. %", "sun", 1, share=True),
)
PUBLISHED_3: dict[str, tuple[Value, ...]] = {
    "CDVAE": (0.1, 3.6, 3.5),
    "DiffCSP": (8.9, 12.5, 9.7),
    "DiffCSP++": (8.9, 13.2, 9.1),
    "FlowMM": (4.1, 9.3, 6.3),
    "SymmCD (All SGs)": (5.0, 9.4, 7.0),
    "SymmCD (10 SGs)": (7.9, 11.7, 9.9),
}
TABLE_5 = (
    Column("Multigraph", "multigraph", 4),
    Column("Multigraph, with S", "multigraph_site_symmetry", 4),
    Column("Asymm. Unit", "asymmetric_unit", 4),
    Column("Asymm. Unit, with S", "asymmetric_unit_site_symmetry", 4),
)
PUBLISHED_5: dict[str, tuple[Value, ...]] = {"DimeNet++ (paper)": (0.0214, 0.0212, 0.0711, 0.0490)}
PAPER_SAMPLE = 10_000
LATEX = str.maketrans(
    {c: f"\\{c}" for c in "_&%#${}"} | {"\\": "\\textbackslash{}", "^": "\\^{}", "~": "\\~{}", "–": "--"}
)
"""Characters with a meaning of their own in LaTeX, and what prints them."""


def table_1(rows: Iterable[Mapping[str, Any]]) -> tuple[str, str]:
    """Markdown and LaTeX of Table 1 with our rows, plain and canonical."""
    found = _lookup(rows)
    ours = {
        "this set": [found.get((c.metric, "paper")) for c in TABLE_1],
        "this set, canonical": [
            found.get((c.metric.replace("templates", "templates_canonical"), "strict")) for c in TABLE_1
        ],
    }
    note = (
        "Canonical: letters up to the choice of origin and axes (the group's normaliser). Counts grow with the number"
        f" of crystals; the paper's are of {PAPER_SAMPLE:,}."
    )
    if ("templates_in_train", "paper") not in found:
        note += " – : not computed, for want of training crystals."
    return _tables(TABLE_1, PUBLISHED_1, ours, note)


def table_2(rows: Iterable[Mapping[str, Any]]) -> tuple[str, str]:
    """Markdown and LaTeX of Table 2 with our rows, by the paper's protocol and strictly."""
    found = _lookup(rows)
    ours = {
        "this set, paper's protocol": [found.get((c.metric, "paper")) for c in TABLE_2],
        "this set, strict": [found.get((c.metric, "strict")) for c in TABLE_2],
    }
    # what has no strict variant of its own is the same under both
    ours["this set, strict"] = [
        strict or paper
        for strict, paper in zip(ours["this set, strict"], ours["this set, paper's protocol"], strict=True)
    ]
    note = "Published figures come without intervals."
    size = max((row["n"] for row in ours["this set, paper's protocol"][:1] if row), default=0)
    if size:
        smallest = [
            f"{c.heading} {100 * resolvable(row['value'] / 100, size):.1f}"
            for c, row in zip(TABLE_2, ours["this set, paper's protocol"], strict=True)
            if c.share and row and row["value"] not in (None, 0, 100) and c.metric != "coverage_recall"
        ]
        note += (
            f" {size:,} crystals tell two such sets apart (95 %, power 80 %) from differences, in points, of:"
            f" {', '.join(smallest)}."
        )
    missing = {c.metric: c.heading for c in TABLE_2 if (c.metric, "paper") not in found}
    if missing.pop("formation_energy_wasserstein", ""):
        why = found.get(("formation_energy_error", "paper"), {}).get("note") or "no predictor of formation energies"
        note += f" $d_E$ – : {why}."
    if missing:
        note += " – : not computed, for want of reference crystals."
    return _tables(TABLE_2, PUBLISHED_2, ours, note)


def table_5(rows: Iterable[Mapping[str, Any]]) -> tuple[str, str]:
    """Markdown and LaTeX of Table 5 with our row.

    Args:
        rows: of table5.csv, with ``variant, mae, low, high, n, train_crystals, note``.
    """
    found = {row["variant"]: {**row, "value": row["mae"]} for row in rows}
    ours = [found[column.metric] for column in TABLE_5]
    note = "Mean absolute error of the formation energy on the test set, eV/atom, S the site symmetry; [95 % interval]."
    for crystals, number in sorted({(row["train_crystals"], row["n"]) for row in ours if row["value"] is not None}):
        note += f" Trained on {crystals:,} crystals, tested on {number:,}."
    for reason in sorted({row["note"] for row in ours if row["value"] is None}):
        note += f" – : {reason}."
    cells = [row if row["value"] is not None else None for row in ours]
    return _tables(TABLE_5, PUBLISHED_5, {"DimeNet++ (this run)": cells}, note)


def write_tables(folder: Path, rows: Sequence[Mapping[str, Any]]) -> list[Path]:
    """Write table1.md, table1.tex, table2.md and table2.tex; their paths."""
    written = []
    for name, (markdown, latex) in (("table1", table_1(rows)), ("table2", table_2(rows))):
        for suffix, text in ((".md", markdown), (".tex", latex)):
            with atomic_path(folder / f"{name}{suffix}") as temporary:
                temporary.write_text(text, encoding="utf-8")
            written.append(folder / f"{name}{suffix}")
    return written


def _lookup(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {(row["metric"], row["protocol"]): row for row in rows}


def _tables(
    columns: Sequence[Column],
    published: Mapping[str, Sequence[Value]],
    ours: Mapping[str, Sequence[Mapping[str, Any] | None]],
    note: str,
) -> tuple[str, str]:
    head = ["Method", *(c.heading for c in columns)]
    body = [[name, *(_cell(c, v) for c, v in zip(columns, values, strict=True))] for name, values in published.items()]
    own = [
        [name, *(_cell(c, row["value"] if row else None, row) for c, row in zip(columns, found, strict=True))]
        for name, found in ours.items()
    ]
    lines = [
        markdown_row(head),
        markdown_row(["---", *["---:"] * len(columns)]),
        *(map(markdown_row, body + own)),
        "",
        note,
    ]
    latex = [
        f"\\begin{{tabular}}{{l{'r' * len(columns)}}}",
        "\\toprule",
        latex_row(head),
        "\\midrule",
        *map(latex_row, body),
        "\\midrule",
        *map(latex_row, own),
        "\\bottomrule",
        "\\end{tabular}",
        f"% {note}",
    ]
    return "\n".join(lines) + "\n", "\n".join(latex) + "\n"


def _cell(column: Column, value: Value, row: Mapping[str, Any] | None = None) -> str:
    if value is None:
        return "–"
    text = f"{value:.{column.digits}f}"
    low, high = (row["low"], row["high"]) if row else (None, None)
    return text if low is None else f"{text} [{low:.{column.digits}f}, {high:.{column.digits}f}]"


def markdown_row(cells: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def latex_row(cells: Sequence[str]) -> str:
    """A line of a LaTeX table; what stands between two $ is mathematics, all else is text."""
    return f"{' & '.join(map(_latex, cells))} \\\\"


def _latex(cell: str) -> str:
    parts = re.split(r"(\$[^$]*\$)", cell)
    return "".join(part if i % 2 else part.translate(LATEX) for i, part in enumerate(parts))
