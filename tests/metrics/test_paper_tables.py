"""The paper's tables: published numbers as printed, those of sets and runs in their columns, what is missing said."""

from __future__ import annotations

from pathlib import Path

import pytest

from symmcd.metrics.paper_tables import (
    TABLE_2,
    Run,
    paper_tables,
    predictors_of_run,
    set_tables,
    write_tables,
)
from symmcd.metrics.published import systems
from symmcd.metrics.typeset_tables import PaperTable, latex, latex_row, markdown, write_table

SUMMARY = [
    {"metric": "structural_validity", "protocol": "paper", "value": 90.0, "low": 88.0, "high": 92.0, "n": 1000},
    {"metric": "structural_validity", "protocol": "strict", "value": 80.0, "low": 77.0, "high": 82.0, "n": 1000},
    {"metric": "compositional_validity", "protocol": "paper", "value": 75.0, "low": 72.0, "high": 78.0, "n": 1000},
    {"metric": "space_group_jsd", "protocol": "paper", "value": 0.2, "low": 0.1, "high": 0.3, "n": 500},
    {"metric": "space_group_jsd", "protocol": "paper_floor", "value": 0.15, "low": 0.14, "high": 0.16, "n": 500},
    {"metric": "templates_unique", "protocol": "paper", "value": 712, "low": float("nan"), "high": None, "n": 1000},
    {"metric": "templates_canonical_unique", "protocol": "strict", "value": 600, "low": None, "high": None, "n": 1000},
]
SUN = [
    {"protocol": "paper", "hull": "mp", "threshold": 0.0, "n": 300}
    | {
        f"{name}{end}": value + shift
        for name, value in (("initially_stable", 3.0), ("relaxed_stable", 9.0), ("sun", 5.0))
        for end, shift in (("", 0), ("_low", -1), ("_high", 1))
    }
]
RUNS = [Run("a", SUMMARY, SUN), Run("b", SUMMARY[:1])]


def line(table: PaperTable, name: str) -> list[str]:
    (found,) = [row for row in table.lines if row.name == name]
    return [cell.text for cell in found.cells]


def test_every_published_system_and_every_run_has_its_lines() -> None:
    one, two, three = paper_tables(RUNS)
    assert [table.number for table in (one, two, three)] == [1, 2, 3]
    systems = ["CDVAE", "DiffCSP", "DiffCSP++", "FlowMM", "SymmCD (All SGs)", "SymmCD (10 SGs)"]
    for table in (two, three):
        assert [row.name for row in table.lines if row.published] == systems
    assert line(three, "SymmCD (10 SGs)") == ["7.9", "11.7", "9.9"]
    assert line(one, "a") == ["712", "–", "–"]
    assert line(one, "a, canonical") == ["600", "–", "–"]
    assert line(two, "a, paper's protocol")[:2] == ["90.00", "75.00"]
    assert line(two, "a, strict")[:2] == ["80.00", "75.00"]  # composition has no strict variant: the same crystals
    assert line(three, "a, 0 eV/atom, mp, n = 300") == ["3.0", "9.0", "5.0"]
    assert [cell.interval for cell in three.lines[-1].cells] == ["2.0, 4.0", "8.0, 10.0", "4.0, 6.0"]


def test_what_a_run_lacks_is_said() -> None:
    _, two, three = paper_tables(RUNS)
    assert "b: no sun.csv, run `symmcd sun`." in three.notes
    assert not any(row.name.startswith("b") for row in three.lines)
    assert line(two, "b, paper's protocol") == ["90.00", *["–"] * 7]
    assert any(note.startswith("d_E: –") for note in two.notes)
    assert any("a: 1,000 crystals, b: 1,000 crystals" in note for note in two.notes)


def test_what_the_test_set_itself_scores_is_a_line_of_one_runs_table() -> None:
    _, two, _ = paper_tables(RUNS[:1], floors=True)
    assert line(two, "test set itself, paper's protocol") == [*["–"] * 7, "0.1500"]
    assert not any("strict" in row.name for row in two.lines if row.name.startswith("test set"))


def test_text_forms() -> None:
    text = markdown(paper_tables(RUNS))
    assert "| a, paper's protocol | 90.00 [88.00, 92.00] | 75.00 [72.00, 78.00] |" in text
    rows = [row for row in text.splitlines() if row.startswith("| ")]
    assert {row.count("|") for row in rows} == {5, 10}
    tex = latex(paper_tables(RUNS))
    assert tex.count("\\begin{tabular}") == tex.count("\\end{tabular}") == 3
    assert "Struct. \\%" in tex


def test_draws_are_lines_and_their_spread_stands_beside_the_interval() -> None:
    spread = {"initially_stable_sd": 0.1, "relaxed_stable_sd": 0.2, "sun_sd": 0.34}
    rows = [{**SUN[0], "draw": "all", "draws": 2.0, **spread}, {**SUN[0], "draw": "2", "n": 150}]
    _, _, three = paper_tables([Run("a", SUMMARY, rows)])
    assert [row.name for row in three.lines[-2:]] == [
        "a, 0 eV/atom, mp, all 2 draws, n = 300",
        "a, 0 eV/atom, mp, draw 2, n = 150",
    ]
    assert [row.cells[2].interval for row in three.lines[-2:]] == ["4.0, 6.0; sd 0.3", "4.0, 6.0"]
    assert any("sd between draws" in note for note in three.notes)


def test_the_tables_of_a_set_have_the_papers_lines_and_its_own() -> None:
    one, two = set_tables(SUMMARY)
    assert line(one, "this set") == ["712", "–", "–"]
    assert line(one, "this set, canonical") == ["600", "–", "–"]
    assert line(one, "SymmCD") == ["2794", "40.8", "1654"]
    assert line(two, "SymmCD (All SGs)")[:5] == ["94.32", "85.85", "99.64", "98.87", "0.0901"]
    (ours,) = [row for row in two.lines if row.name == "this set, paper's protocol"]
    assert [str(cell) for cell in ours.cells] == [
        "90.00 [88.00, 92.00]", "75.00 [72.00, 78.00]", "–", "–", "–", "–", "–", "0.2000 [0.1000, 0.3000]"
    ]  # fmt: skip
    assert line(two, "this set, strict")[:2] == ["80.00", "75.00"]
    assert one.notes[0].endswith("– : not computed, because there are no training crystals.")
    assert two.notes[0].endswith("– : not computed, because there are no reference crystals.")


def test_what_the_sample_resolves_is_said() -> None:
    """Two sets of 1,000 near 90 %: (1.96 + 0.84) sqrt(2 · 0.9 · 0.1 / 1000) = 3.8 points."""
    assert "Struct. % 3.8" in set_tables(SUMMARY)[1].notes[0]


def test_files_of_a_set(tmp_path: Path) -> None:
    names = ["table1.md", "table1.tex", "table2.md", "table2.tex"]
    assert [path.name for path in write_tables(tmp_path, SUMMARY)] == names
    head = [cell.strip() for cell in (tmp_path / "table2.md").read_text().splitlines()[0].strip("|").split("|")]
    assert head == ["Method", *(c.heading for c in TABLE_2)]
    tex = (tmp_path / "table2.tex").read_text()
    assert tex.startswith("\\begin{tabular}{lrrrrrrrr}")
    rows = [row for row in tex.splitlines() if row.endswith("\\\\")]
    assert len(rows) == 1 + len(systems(2)) + 2
    assert {row.count("&") for row in rows} == {8}
    assert "Struct. \\%" in rows[0]


def test_table_5_of_a_run(tmp_path: Path) -> None:
    trained = {"mae": 0.0343, "low": 0.0335, "high": 0.0351, "n": 9046, "train_crystals": 26343, "note": "trained"}
    none = dict.fromkeys(trained) | {"note": "not among predictor.variants"}
    variants = ["multigraph", "multigraph_site_symmetry", "asymmetric_unit", "asymmetric_unit_site_symmetry"]
    rows = [{"variant": name, **(none if "site" in name else trained)} for name in variants]
    table = predictors_of_run(rows)
    assert line(table, "DimeNet++ (this run)") == ["0.0343", "–", "0.0343", "–"]
    assert "Trained on 26,343 crystals, tested on 9,046. – : not among predictor.variants." in table.notes[0]
    markdown_file, tex = write_table(tmp_path, table)
    assert "| DimeNet++ (paper) | 0.0214 | 0.0212 | 0.0711 | 0.0490 |" in markdown_file.read_text()
    assert tex.name == "table5.tex"


@pytest.mark.parametrize(
    ("cells", "printed"),
    [
        (
            ["run_2 & 50% #1", "$d_{elem}$", "–", "a{b}^c"],
            r"run\_2 \& 50\% \#1 & $d_{elem}$ & -- & a\{b\}\^{}c \\",
        ),
        (["cost $5"], r"cost \$5 \\"),
    ],
)
def test_names_with_characters_that_latex_reads(cells: list[str], printed: str) -> None:
    assert latex_row(cells) == printed
