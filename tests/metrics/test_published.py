"""Tables 1 and 2 as text: the paper's rows as printed, ours with intervals, in the paper's order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from symmcd.metrics.published import (
    PUBLISHED_1,
    PUBLISHED_2,
    TABLE_1,
    TABLE_2,
    latex_row,
    table_1,
    table_2,
    write_tables,
)

ROWS: list[dict[str, Any]] = [
    {"metric": "structural_validity", "protocol": "paper", "value": 90.0, "low": 88.0, "high": 92.0, "n": 1000},
    {"metric": "structural_validity", "protocol": "strict", "value": 80.0, "low": 77.0, "high": 82.0, "n": 1000},
    {"metric": "compositional_validity", "protocol": "paper", "value": 75.0, "low": 72.0, "high": 78.0, "n": 1000},
    {"metric": "space_group_jsd", "protocol": "paper", "value": 0.2, "low": 0.1, "high": 0.3, "n": 500},
    {"metric": "templates_unique", "protocol": "paper", "value": 712, "low": None, "high": None, "n": 1000},
    {"metric": "templates_canonical_unique", "protocol": "strict", "value": 600, "low": None, "high": None, "n": 1000},
]


def cells(text: str, name: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_columns_stand_in_the_papers_order() -> None:
    markdown, latex = table_2(ROWS)
    head = [cell.strip() for cell in markdown.splitlines()[0].strip("|").split("|")]
    assert head == ["Method", *(c.heading for c in TABLE_2)]
    assert cells(markdown, "SymmCD (All SGs)")[:5] == ["94.32", "85.85", "99.64", "98.87", "0.0901"]
    ours = cells(markdown, "this set, paper's protocol")
    assert ours == ["90.00 [88.00, 92.00]", "75.00 [72.00, 78.00]", "–", "–", "–", "–", "–", "0.2000 [0.1000, 0.3000]"]
    assert cells(markdown, "this set, strict")[:2] == ["80.00 [77.00, 82.00]", "75.00 [72.00, 78.00]"]
    rows = [line for line in latex.splitlines() if line.endswith("\\\\")]
    assert len(rows) == 1 + len(PUBLISHED_2) + 2
    assert {row.count("&") for row in rows} == {8}
    assert "Struct. \\%" in rows[0]


def test_what_the_sample_resolves_is_said() -> None:
    """Two sets of 1,000 near 90 %: (1.96 + 0.84) sqrt(2 · 0.9 · 0.1 / 1000) = 3.8 points."""
    assert "Struct. % 3.8" in table_2(ROWS)[0]


def test_templates_plain_and_canonical() -> None:
    markdown, _ = table_1(ROWS)
    assert cells(markdown, "this set") == ["712", "–", "–"]
    assert cells(markdown, "this set, canonical") == ["600", "–", "–"]
    assert cells(markdown, "SymmCD") == ["2794", "40.8", "1654"]


def test_published_rows_are_whole() -> None:
    assert {len(values) for values in PUBLISHED_2.values()} == {len(TABLE_2)}
    assert {len(values) for values in PUBLISHED_1.values()} == {len(TABLE_1)}
    unique, share, new = PUBLISHED_1["SymmCD"]
    assert unique is not None
    assert share is not None
    assert new == pytest.approx(unique * (1 - share / 100), abs=0.5)  # the three columns agree


def test_files(tmp_path: Path) -> None:
    assert {path.name for path in write_tables(tmp_path, ROWS)} == {
        "table1.md", "table1.tex", "table2.md", "table2.tex"
    }  # fmt: skip
    assert (tmp_path / "table2.tex").read_text().startswith("\\begin{tabular}{lrrrrrrrr}")


def test_names_with_characters_that_latex_reads() -> None:
    assert latex_row(["run_2 & 50% #1", "$d_{elem}$", "–", "a{b}^c"]) == (
        r"run\_2 \& 50\% \#1 & $d_{elem}$ & -- & a\{b\}\^{}c \\"
    )
    assert latex_row(["cost $5"]) == r"cost \$5 \\"
