"""The published numbers: whole tables, values as printed, columns that agree with each other."""

from __future__ import annotations

import csv
from importlib import resources

import pytest

from symmcd.metrics.paper_tables import TABLE_1, TABLE_2, TABLE_3, TABLE_5, Column
from symmcd.metrics.published import SYMMCD, of_symmcd, systems
from symmcd.settings import PREDICTOR_VARIANTS

TABLES = {1: TABLE_1, 2: TABLE_2, 3: TABLE_3, 5: TABLE_5}


@pytest.mark.parametrize("number", TABLES)
def test_every_line_has_every_column_with_its_digits(number: int) -> None:
    columns: tuple[Column, ...] = TABLES[number]
    for system, values in systems(number).items():
        lacking = {"templates_new"} if system == "Training Set" else set()  # of itself nothing is new
        assert values.keys() == {column.metric for column in columns} - lacking, system
        for column in columns:
            text = values.get(column.metric)
            assert text is None or text == f"{float(text):.{column.digits}f}"
            assert text is None or not column.share or 0 <= float(text) <= 100


def test_rows_are_there_once_and_say_where_they_are_from() -> None:
    text = (resources.files("symmcd.metrics") / "published.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    keys = [(row["table"], row["system"], row["metric"]) for row in rows]
    assert len(keys) == len(set(keys)) == 87
    assert all(row["source"].endswith(f"Table {row['table']}") for row in rows)


def test_counts_of_templates_agree_with_the_share_in_training() -> None:
    for system, values in systems(1).items():
        if system != "Training Set":
            unique, share, new = (float(values[column.metric]) for column in TABLE_1)
            assert new == pytest.approx(unique * (1 - share / 100), abs=0.5 + 0.0005 * unique), system


def test_the_papers_own_system_is_the_one_of_all_space_groups() -> None:
    assert {name for table in TABLES for name in systems(table) if name in SYMMCD} == SYMMCD
    assert of_symmcd("structural_validity") == "94.32"
    assert of_symmcd("templates_unique") == "2794"
    assert of_symmcd("sun") == "7.0"
    assert of_symmcd("group_kept") == ""
    assert [of_symmcd(variant) for variant in PREDICTOR_VARIANTS] == ["0.0214", "0.0212", "0.0711", "0.0490"]
