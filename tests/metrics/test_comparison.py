"""The paper's tables with several runs: published numbers as printed, ours in their columns, what is missing said."""

from __future__ import annotations

from symmcd.metrics.comparison import PaperTable, Run, latex, markdown, paper_tables

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
