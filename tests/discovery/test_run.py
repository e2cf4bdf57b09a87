"""The whole command with a small network and toy judges: the same list after a kill, a budget, an interrupt."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from symmcd.discovery import drafts, run
from symmcd.discovery.course import Course
from symmcd.errors import InputError
from symmcd.screens.bonds import dimensionality
from symmcd.screens.crystal import ScreenedCrystal
from symmcd.stages import export
from symmcd.storage import read_units
from symmcd.structures.units import replicate
from tests.discovery import killed

ROOT = Path(__file__).parents[2]
LISTS = ("candidates.csv", "units.npz", "crystals.extxyz", "index.html", "summary.json")


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "candidates.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def files(folder: Path) -> dict[str, bytes]:
    """Content of everything but the journals and the command of this folder."""
    found = sorted(p for p in folder.rglob("*") if p.is_file() and "work" not in p.parts)
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in found}


@pytest.fixture
def plan(staged, toys, monkeypatch):
    monkeypatch.setattr(drafts, "BLOCK", 10)
    monkeypatch.setattr(run, "SIZE", 4)
    monkeypatch.setattr(run, "version", run.version)  # put back after `killed.plan`
    return killed.plan(str(staged.path))


@pytest.mark.parametrize("step", [5])
def test_a_killed_run_comes_to_the_same_list(staged, tmp_path, step):
    words = [sys.executable, "-m", "tests.discovery.killed", str(staged.path), str(tmp_path), str(step)]
    where = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=ROOT, env=where, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(re.search(r"killed at (\d+) moments", done.stdout)[1]) >= 3
    whole = files(tmp_path / "whole")
    assert set(LISTS) <= whole.keys()
    for folder in tmp_path.glob("killed*"):
        assert files(folder) == whole, folder.name


def test_every_crystal_has_a_row_and_every_relaxed_one_a_cif(plan, tmp_path):
    run.Discovery(plan, tmp_path).run()
    table = rows(tmp_path)
    assert len(table) == len({row["id"] for row in table}) == 20
    listed = [row["file"] for row in table if row["file"]]
    assert sorted(listed) == sorted(p.relative_to(tmp_path).as_posix() for p in (tmp_path / "cif").iterdir())
    assert {row["id"] for row in table if row["file"]} == set(read_units(tmp_path / "units.npz").label.tolist())
    for row in table:
        assert row["status"], row
        assert bool(row["e_above_hull"]) <= bool(row["file"])
        assert re.fullmatch("[0-9a-f]{64}", row["weights"])
        assert row["command"].startswith("symmcd discover ")
    assert "<table" in (tmp_path / "index.html").read_text()


def test_the_export_of_a_list_says_what_its_table_says(plan, tmp_path):
    run.Discovery(dataclasses.replace(plan, screens=("dimensionality", "scarce")), tmp_path).run()
    export.run(tmp_path, tmp_path / "out", "optimade", seed=0)
    entries = {e["id"]: e["attributes"] for e in json.loads((tmp_path / "out/structures.json").read_text())["data"]}
    table = {row["id"]: row for row in rows(tmp_path) if row["file"]}
    assert entries.keys() == table.keys()
    for name, row in table.items():
        said = entries[name]
        assert said["chemical_formula_descriptive"] == row["formula"]
        assert said["space_group_it_number"] == int(row["space_group_relaxed"] or row["space_group"])
        assert said["_symmcd_verdict"] == row["verdict"]
        assert said["_symmcd_doubts"] == [word for word in row["doubts"].split(";") if word]
        for column in ("e_above_hull", "e_above_hull_morse", "e_above_hull_higher", "density", "seed", "draft", "rank"):
            value = said[f"_symmcd_{column}"]
            assert value is None if row[column] == "" else value == float(row[column]), column
        assert said["_symmcd_screen_dimensionality"] == int(row["screen_dimensionality"])
        assert (said["_symmcd_screen_scarce"] or "") == row["screen_scarce"]
        assert isinstance(said["_symmcd_weights"], str)
        assert isinstance(said["_symmcd_command"], str)


def test_screens_are_columns_with_the_values_of_the_relaxed_crystals(plan, tmp_path):
    plan = dataclasses.replace(plan, screens=("dimensionality", "scarce"))
    run.Discovery(plan, tmp_path).run()
    units = read_units(tmp_path / "units.npz")
    index = {name: place for place, name in enumerate(units.label.tolist())}
    seen = 0
    for row in rows(tmp_path):
        if row["file"]:
            crystal = ScreenedCrystal(replicate(units[index[row["id"]]]))
            assert row["screen_dimensionality"] == str(dimensionality(crystal))
            seen += 1
        else:
            assert row["screen_dimensionality"] == ""
    assert seen


def test_other_filters_sort_the_same_crystals_again_without_work(plan, tmp_path, monkeypatch):
    plan = dataclasses.replace(plan, screens=("dimensionality",), threshold=50.0)
    run.Discovery(plan, tmp_path).run()
    before = {row["id"]: row for row in rows(tmp_path)}
    wanted = {row["screen_dimensionality"] for row in before.values() if row["verdict"] in ("candidate", "doubtful")}
    assert wanted
    monkeypatch.setattr(run.Generator, "load", None)  # it would raise TypeError
    run.Discovery(dataclasses.replace(plan, keep=(f"dimensionality!={min(wanted)}",)), tmp_path).run()
    after = {row["id"]: row for row in rows(tmp_path)}
    assert after.keys() == before.keys()
    for name, row in before.items():
        out = row["verdict"] in ("candidate", "doubtful") and row["screen_dimensionality"] == min(wanted)
        assert after[name]["verdict"] == ("screened_out" if out else row["verdict"])
        assert "--keep" in after[name]["command"]
    assert "screened_out" in {row["verdict"] for row in after.values()}
    run.Discovery(plan, tmp_path).run()
    assert {row["id"]: row for row in rows(tmp_path)} == before


def test_a_finished_list_is_written_again_without_work(plan, tmp_path, monkeypatch):
    run.Discovery(plan, tmp_path).run()
    before = files(tmp_path)
    monkeypatch.setattr(run.Generator, "load", None)  # it would raise TypeError
    run.Discovery(plan, tmp_path).run()
    assert files(tmp_path) == before


def test_a_folder_of_another_plan_is_refused_and_left_alone(plan, tmp_path):
    run.Discovery(plan, tmp_path).run()
    before = files(tmp_path)
    with pytest.raises(InputError, match="made with another seed; choose another folder, or give --overwrite"):
        run.Discovery(dataclasses.replace(plan, seed=1), tmp_path).run()
    assert files(tmp_path) == before


def test_an_interrupt_leaves_the_list_of_what_is_finished(plan, tmp_path, monkeypatch):
    shard = run.Machine.shard
    done = []

    def interrupted(machine, *given):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(1)
        return shard(machine, *given)

    run.Discovery(plan, tmp_path / "whole").run()
    done.clear()
    monkeypatch.setattr(run.Machine, "shard", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.Discovery(plan, tmp_path / "other").run()
    assert sum(row["verdict"] != "not_reached" for row in rows(tmp_path / "other")) == 8
    monkeypatch.setattr(run.Machine, "shard", shard)
    run.Discovery(plan, tmp_path / "other").run()
    assert files(tmp_path / "other") == files(tmp_path / "whole")


def test_a_budget_that_is_spent_leaves_the_rest_not_reached(plan, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "KEPT_BACK", 1e9)
    run.Discovery(plan, tmp_path, budget=60.0).run()
    assert {row["verdict"] for row in rows(tmp_path)} == {"not_reached"}


def test_time_left_is_items_times_seconds_and_no_more_than_the_budget():
    course = Course()
    course.expect("drafts", 100, 0.5)
    course.expect("crystals", 10, 2.0, done=4)
    assert course.left() == pytest.approx(100 * 0.5 + 6 * 2.0)
    limited = Course(budget=30.0, spent=10.0)
    limited.expect("drafts", 100, 0.5)
    assert limited.left() == pytest.approx(20.0, abs=1)
    assert limited.fits(19.0)
    assert not limited.fits(21.0)
