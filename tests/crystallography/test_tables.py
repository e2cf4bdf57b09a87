"""The csv tables are what tools/make_tables.py writes, and are read in one way."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from tools import make_tables, normalisers

from symmcd.crystallography.normaliser import letter_permutations
from symmcd.crystallography.space_group import operations, parse_operations
from symmcd.crystallography.table_files import read_table, table_text
from symmcd.crystallography.wyckoff import wyckoff_table


def cells(rows: list[dict[str, str]], group: int) -> list[list[str]]:
    return [list(row.values()) for row in rows if next(iter(row.values())) == str(group)]


# each lattice letter and crystal family
@pytest.mark.parametrize("group", [1, 2, 15, 24, 39, 43, 62, 87, 98, 122, 144, 155, 167, 176, 187, 198])
def test_rows_are_what_the_maker_derives(group: int) -> None:
    row, positions = make_tables.space_group(group)
    assert cells(read_table("space_groups.csv"), group) == [[str(cell) for cell in row]]
    assert cells(read_table("wyckoff.csv"), group) == [[str(cell) for cell in row] for row in positions]


@pytest.mark.parametrize("group", [1, 2, 5, 15, 38, 47, 62, 74, 99, 139, 149, 166, 178, 194, 214, 221, 229])
def test_permutations_are_what_the_normaliser_makes(group: int) -> None:
    assert np.array_equal(letter_permutations(group), normalisers.letter_permutations(group))


def test_elements_are_what_the_maker_writes() -> None:
    assert [list(row.values()) for row in read_table("elements.csv")] == [
        [str(cell) for cell in row] for row in make_tables.elements()
    ]


@pytest.mark.parametrize("name", make_tables.HEADINGS)
def test_headings(name: str) -> None:
    assert next(csv.reader(table_text(name).splitlines())) == make_tables.HEADINGS[name]


def test_tables_cannot_be_written_to() -> None:
    for array in (wyckoff_table().operations, letter_permutations(225), operations(225)):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_each_triplet_has_its_own_row() -> None:
    assert np.array_equal(parse_operations(["x,y,z", "-x,y,z+1/2", "x,y,z"])[:, 2, 3], [0, 0.5, 0])
