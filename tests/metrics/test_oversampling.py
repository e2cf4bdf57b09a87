"""Tables of crystals that a stability model chose say so, in columns and in words, and nothing published is beside."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd
import pytest

from symmcd.crystallography.best_of import BestOf
from symmcd.errors import InputError
from symmcd.metrics.oversampling import (
    COLUMNS,
    NOTHING_PUBLISHED,
    TEXTS,
    best_of_rows,
    cells,
    chosen,
    of_judges,
    sentence,
)
from symmcd.metrics.paper_tables import PaperTable, Run, paper_tables, set_tables, write_stability_table, write_tables
from symmcd.metrics.rows import write_summary
from symmcd.metrics.typeset_tables import latex, markdown
from tests.metrics.test_paper_tables import SUMMARY, SUN

CHOICE = BestOf(20, "1234567" + "e5" * 20, "chgnet", "table mp.csv")
WORDS = "the best of 20 drafts per crystal by a stability model, labels by CHGNet over the hull “table mp.csv”"
OF = cells(CHOICE)
ROWS = [row | OF for row in SUMMARY]
RATES = [row | OF | {"judge": judge} for row in SUN for judge in ("chgnet", "sevennet-0", "all")]


def published(table: PaperTable) -> list[str]:
    return [line.name for line in table.lines if line.published]


@pytest.mark.parametrize("choice", [CHOICE, BestOf(2), BestOf(3, "1" * 64, "", "1"), BestOf(3, "", "springs")])
def test_columns_are_read_as_they_were_written(choice: BestOf) -> None:
    """By csv and by pandas, which is told that hashes of digits are no numbers."""
    file = io.StringIO()
    table = csv.DictWriter(file, ["metric", *COLUMNS])
    table.writeheader()
    table.writerows([{"metric": name, **cells(choice)} for name in "ab"])
    assert best_of_rows(csv.DictReader(file.getvalue().splitlines()), "t.csv", "summarise") == choice
    frame = pd.read_csv(io.StringIO(file.getvalue()), dtype=dict.fromkeys(TEXTS, str), keep_default_na=False)
    assert best_of_rows(frame.to_dict("records"), "t.csv", "summarise") == choice
    blank = pd.read_csv(io.StringIO(file.getvalue()), dtype=dict.fromkeys(TEXTS, str))
    assert best_of_rows(blank.to_dict("records"), "t.csv", "summarise") == choice


def test_crystals_that_were_not_chosen_have_no_columns(tmp_path: Path) -> None:
    assert cells(None) == {}
    for row in ({}, {"oversample": 1}, {"oversample": "1"}, {"oversample": "", "labels_judge": None}):
        assert best_of_rows([row, row], "t.csv", "sun") is None
    assert best_of_rows([], "t.csv", "sun") is None
    rows = [{**row, "note": ""} for row in SUMMARY]
    write_summary(tmp_path / "summary.csv", rows)
    head = (tmp_path / "summary.csv").read_text().partition("\n")[0]
    assert head == "metric,protocol,value,low,high,n,note"
    write_summary(tmp_path / "summary.csv", [row | OF for row in rows])
    lines = (tmp_path / "summary.csv").read_text().splitlines()
    assert lines[0] == f"{head},oversample,stability_model,labels_judge,labels_hull"
    assert all(line.endswith(f",20,{CHOICE.stability_model},chgnet,table mp.csv") for line in lines[1:])


@pytest.mark.parametrize(
    "rows",
    [
        [OF, {}], [OF, {**OF, "oversample": 4}], [OF, {**OF, "labels_judge": "sevennet-0"}], [{"oversample": 0}],
        [{"oversample": 2.5}], [{"oversample": "many"}], [{"oversample": 1, "labels_judge": "chgnet"}],
        [{"oversample": 20, "labels_hull": "a\nb"}],
    ],
)  # fmt: skip
def test_rows_that_say_different_things_are_refused(rows: list[dict[str, object]]) -> None:
    with pytest.raises(InputError, match=r"t\.csv: the column oversample has .* run `symmcd sun` again"):
        best_of_rows(rows, "t.csv", "sun")


def test_the_words() -> None:
    assert chosen(CHOICE) == WORDS
    assert chosen(BestOf(4, "", "chgnet", "chgnet")).endswith("labels by CHGNet over its own hull")
    assert chosen(BestOf(4, "", "mine", "own")).endswith("labels by mine over its own hull")
    assert chosen(BestOf(4)) == "the best of 4 drafts per crystal by a stability model, nobody knows whose labels"
    assert sentence(CHOICE).startswith(f"T{WORDS[1:]} (stability model 1234567e5e5e). ")
    assert "not the generator alone" in sentence(CHOICE)


def test_who_made_the_labels_is_no_independent_judge() -> None:
    said = of_judges(CHOICE, ["chgnet", "sevennet-0"])
    assert said.startswith("CHGNet made the labels")
    assert said.endswith("Rely on SevenNet-0, which made no labels.")
    assert of_judges(CHOICE, ["chgnet"]).endswith("the choice favours its errors too.")
    assert of_judges(CHOICE, ["sevennet-0"]) == of_judges(BestOf(4), ["chgnet"]) == ""


def test_nothing_published_stands_in_tables_of_chosen_crystals(tmp_path: Path) -> None:
    for table in (*set_tables(ROWS), *paper_tables([Run("a", ROWS, RATES)], floors=True)):
        own = [line for line in table.lines if not line.name.startswith("test set itself")]
        assert own
        assert all(", best of 20" in line.name for line in own)
        assert not published(table)
        assert any(WORDS[1:] in note for note in table.notes)
        assert NOTHING_PUBLISHED in table.notes
        text = " ".join(note for note in table.notes if note != NOTHING_PUBLISHED)
        assert "ublished" not in text
        assert "the paper's are of" not in text
        assert "\\midrule\n\\midrule" not in latex([table])
    write_tables(tmp_path, ROWS)
    write_stability_table(tmp_path, RATES)
    for number in (1, 2, 3):
        text = (tmp_path / f"table{number}.md").read_text(encoding="utf-8")
        assert WORDS[1:] in text
        assert "this set, best of 20" in text
        assert "SymmCD" not in text
    assert "CHGNet made the labels" in (tmp_path / "table3.md").read_text()
    assert "Rely on SevenNet-0, which" in (tmp_path / "table3.md").read_text(), "all judges are no judge"


def test_published_lines_stand_beside_a_run_that_was_not_chosen() -> None:
    """With chosen runs in the same tables, of which the notes say that they are not to be compared."""
    plain = paper_tables([Run("a", SUMMARY, SUN)])
    mixed = paper_tables([Run("a", SUMMARY, SUN), Run("b", ROWS, RATES)])
    for before, table in zip(plain, mixed, strict=True):
        assert published(table) == published(before)
        assert table.lines[: len(before.lines)] == before.lines
        assert all(line.name.startswith("b, best of 20") for line in table.lines[len(before.lines) :])
        assert [note for note in table.notes if WORDS[1:] in note] == [f"b, best of 20: {sentence(CHOICE)}"]
        assert NOTHING_PUBLISHED in table.notes
    assert "best of" not in markdown(plain)
    hulls = [note for note in mixed[2].notes if "another hull" in note]
    assert len(hulls) == 1
    assert hulls[0].startswith("a, mp: another hull than the published")
