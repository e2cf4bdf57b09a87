"""`symmcd show` on folders of every command: it counts what the files hold, and says what it cannot read."""

from __future__ import annotations

import csv
import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from symmcd.crystallography.content import primitive_atoms
from symmcd.errors import InputError
from symmcd.report.folder_summary import KINDS, folder_summary
from symmcd.report.terminal import terminal_summary
from symmcd.stages import export, show
from symmcd.storage import write_units
from symmcd.structures.crystal_table import write_table
from tests.report.conftest import make_results, make_units

if TYPE_CHECKING:
    from pathlib import Path

    from symmcd.crystallography.asymmetric_unit import AsymmetricUnits


@pytest.fixture(scope="module")
def units() -> AsymmetricUnits:
    return make_units(30, 4)


def test_generated_crystals_are_counted(units: AsymmetricUnits, tmp_path: Path) -> None:
    write_table(tmp_path / "crystals.csv", units, ())
    text = folder_summary(tmp_path)
    sizes = primitive_atoms(units).tolist()
    assert text.startswith("30 crystals of `symmcd generate`\n")
    assert f"{min(sizes)} to {max(sizes)}, median" in text
    for number, count in Counter(units.space_group.tolist()).items():
        assert f"({number}) {count}" in text
    assert max(map(len, text.splitlines())) <= 120


def test_predicted_structures_are_ranked_as_in_the_table(units: AsymmetricUnits, tmp_path: Path) -> None:
    further = {"status": ["converged"] * 30, "energy_relaxed": ["-3.100000"] * 30, "score": ["-3.000000"] * 30}
    write_table(tmp_path / "crystals.csv", units, [-float(i) for i in range(30)], further)
    text = folder_summary(tmp_path)
    assert text.startswith("30 crystals of `symmcd predict`\n")
    ranked = re.findall(r"^(\d+) +(\d{5}) ", text, re.MULTILINE)
    assert ranked == [(str(i + 1), f"{i:05d}") for i in range(10)]
    assert "… and 20 more in the table" in text
    assert "-3.000000" in text


def relaxed_table(path: Path, rows: int, first: int = 0) -> None:
    head = ("id", "status", "energy_initial", "energy_relaxed", "rms_displacement", "space_group_initial",
            "space_group_relaxed")  # fmt: skip
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        for i in range(first, first + rows):
            failed = i % 4 == 3
            writer.writerow(
                (f"{i:05d}", "failed:overlap", *[""] * 5)
                if failed
                else (f"{i:05d}", "converged", -1, -1.25, 0.5, 62, 62)
            )


def test_relaxations_are_counted_in_a_table_and_in_shards(tmp_path: Path) -> None:
    relaxed_table(tmp_path / "shard0.csv", 4)
    relaxed_table(tmp_path / "shard1.csv", 8, 4)
    text = folder_summary(tmp_path)
    assert text.startswith("12 crystals of `symmcd relax` by CHGNet\n")
    assert re.search(r"^converged +9 +75\.0 %$", text, re.MULTILINE)
    assert re.search(r"^failed:overlap +3 +25\.0 %$", text, re.MULTILINE)
    assert "median 0.250 eV/atom" in text
    assert "space group kept: 100.0 % of 9" in text
    assert folder_summary(tmp_path / "shard0.csv").startswith("4 crystals")
    relaxed_table(tmp_path / "relaxed.csv", 12)  # of all shards: they are not counted twice
    assert folder_summary(tmp_path).startswith("12 crystals")


def test_a_list_of_discover_is_shown_in_its_order(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("")
    (tmp_path / "candidates.csv").write_text(
        "rank,id,verdict,formula,space_group_relaxed,e_above_hull_chgnet,doubts\n"
        "1,00003,candidate,NaCl,225,-0.0123,\n2,00001,doubtful,Na2O,,,moved;radioactive\n3,00000,not_reached,NaO,,,\n"
    )
    text = folder_summary(tmp_path)
    assert text.startswith("3 crystals of `symmcd discover`\n")
    assert re.search(r"^1 +00003 +NaCl +candidate +Fm-3m \(225\) +-0\.012$", text, re.MULTILINE)
    assert re.search(r"^2 +00001 +Na2O +doubtful +– +–$", text, re.MULTILINE)
    assert re.search(r"^not reached +1$", text, re.MULTILINE)
    assert "moved: moved by more than 0.5 Å in relaxation" in text
    assert text.endswith(f"page: {tmp_path / 'index.html'}")


@pytest.mark.parametrize(("target", "word"), [("mattergen", "MatterGen"), ("xtalmet", "xtalmet")])
def test_exported_files_are_named(units: AsymmetricUnits, tmp_path: Path, target: str, word: str) -> None:
    write_units(tmp_path / "units.npz", units)
    export.run(tmp_path / "units.npz", tmp_path / "out", target, seed=0)
    assert word in folder_summary(tmp_path / "out")


def test_a_results_folder_and_its_report_have_the_same_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = make_results(tmp_path / "results", 12)
    numbers = terminal_summary(results)
    assert folder_summary(results) == numbers
    (results / "report/figures").mkdir(parents=True)
    (results / "report/index.html").write_text("")
    assert folder_summary(results / "report").startswith(numbers)
    show.run(results)
    assert capsys.readouterr().out == f"{numbers}\n\nreport: {results / 'report/index.html'}\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "no such folder"),
        ("empty", "no files of a symmcd command here"),
        ("other.csv", "not a table of `symmcd relax`"),
        ("workflow", "a workflow, not its results; run it"),
        ("unfinished", r"metrics/summary\.csv: missing; run `symmcd summarise` first"),
        ("cut", r"crystals\.csv, row 30: the file ends within this row"),
    ],
)
def test_what_cannot_be_shown_is_one_line(units: AsymmetricUnits, tmp_path: Path, name: str, message: str) -> None:
    for folder in ("empty", "workflow", "unfinished/raw", "cut"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    (tmp_path / "workflow/Snakefile").write_text("")
    write_table(tmp_path / "cut/crystals.csv", units, ())
    whole = (tmp_path / "cut/crystals.csv").read_text()
    (tmp_path / "cut/crystals.csv").write_text(whole[:-1])
    with pytest.raises(InputError, match=message) as error:
        folder_summary(tmp_path / name)
    assert "\n" not in str(error.value)


def test_every_kind_is_told_from_an_empty_folder(tmp_path: Path) -> None:
    assert not any(is_kind(tmp_path) for is_kind, _ in KINDS)
