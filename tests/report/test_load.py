"""What a report is made of: tables of one run, each whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from symmcd.errors import InputError
from symmcd.report.load import load
from symmcd.report.terminal import terminal_summary
from tests.report.conftest import make_results


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_results(tmp_path_factory.mktemp("whole") / "results")


@pytest.fixture
def results(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "results")
    return tmp_path / "results"


@pytest.mark.parametrize("name", ["metrics/per_crystal.csv", "relaxed/relaxed.csv", "hull.csv", "sun_per_crystal.csv"])
@pytest.mark.parametrize("row", [0, 17, 59])
def test_a_table_cut_between_rows_is_refused(results: Path, name: str, row: int) -> None:
    path = results / name
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[: row + 1], *lines[row + 2 :]]))
    with pytest.raises(InputError, match=f"crystal {row:05d} ") as error:
        load(results, 0)
    assert "\n" not in str(error.value)


def test_a_candidate_that_no_hull_has_is_refused(results: Path) -> None:
    path = results / "candidates.csv"
    path.write_text(path.read_text().replace("chgnet", "another", 1))
    with pytest.raises(InputError, match=r"over the hull 'another' is not in hull\.csv; run `symmcd candidates` again"):
        load(results, 0)


@pytest.mark.parametrize("row", [0, 1])
def test_a_protocol_that_is_lost_is_named(results: Path, row: int) -> None:
    path = results / "sun.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[: row + 1], *lines[row + 2 :]]))
    with pytest.raises(InputError, match=rf"sun\.csv: lacks the row of hull 'chgnet' at {(0, 0.1)[row]:g} eV/atom"):
        load(results, 0)


@pytest.mark.parametrize("name", ["metrics/summary.csv", "sun.csv", "hull.csv", "training/seed0/losses.csv"])
def test_a_table_cut_within_a_row_is_refused_with_the_row(results: Path, name: str) -> None:
    path = results / name
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:2], lines[2].partition(",")[0] + "\n", *lines[3:]]))
    with pytest.raises(InputError, match=rf"{name}, row 2: 1 fields, expected"):
        load(results, 0)
    path.write_text("".join(lines)[:-3])
    with pytest.raises(InputError, match=rf"{name}, row \d+: "):
        load(results, 0)


@pytest.mark.parametrize(
    ("name", "column"),
    [("sun.csv", "sun_low"), ("hull.csv", "e_above_hull_relaxed"), ("metrics/summary.csv", "value"),
     ("relaxed/relaxed.csv", "space_group_relaxed")],
)  # fmt: skip
def test_what_is_no_number_is_refused(results: Path, name: str, column: str) -> None:
    import pandas as pd

    table = pd.read_csv(results / name, dtype=str)
    table.loc[1, column] = "1.2.3"
    table.to_csv(results / name, index=False)
    with pytest.raises(InputError, match=rf"{name}, row 2: {column} '1.2.3' is not a number"):
        load(results, 0)


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_loss_of_one_part_only_is_named(results: Path, part: str) -> None:
    path = results / "training/seed0/losses.csv"
    heading, rest = path.read_text().split("\n", 1)
    path.write_text(heading.replace(f"{part}_lattice", f"{part}_grid") + "\n" + rest)
    with pytest.raises(InputError, match=r"losses\.csv: has the column .* and lacks .*; run `symmcd train` again"):
        load(results, 0)


def test_a_rate_without_its_interval_is_named(results: Path) -> None:
    path = results / "sun.csv"
    heading, *rows = path.read_text().splitlines()
    path.write_text("\n".join([f"{heading},sun_valid,sun_valid_low", *(f"{row},0.5,0.4" for row in rows)]) + "\n")
    for read in (lambda: load(results, 0), lambda: terminal_summary(results)):
        with pytest.raises(InputError, match=r"sun\.csv: has the column sun_valid and lacks sun_valid_high"):
            read()
