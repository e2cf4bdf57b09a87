"""The stage ``reduce``: several processes, and too many rows that cannot be used."""

from __future__ import annotations

import csv
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.crystallography.prototypes import prototype
from tests.misbehaving_crystals import CRASHES, ERRS, HANGS, NO_MEMORY, trap

from symmcd.errors import InputError
from symmcd.settings import ReduceSettings
from symmcd.stages import reduce
from symmcd.storage import read_units
from symmcd.structures import reduction
from symmcd.structures.cell import Cell
from symmcd.structures.read import RawRow, read_rows
from symmcd.structures.write import p1_cif

SALT = np.array([[0, 0, 0], [0.5, 0.5, 0.5]])

CODE = """
from pathlib import Path
from symmcd.settings import ReduceSettings
from symmcd.stages import reduce
reduce.run(Path("raw.csv"), Path("units.npz"), Path("rejects.csv"), ReduceSettings(), workers=2)
"""


def test_killed_it_leaves_no_process_behind(tmp_path):
    """Workers that outlive it would keep its standard output open, and Snakemake waiting for the end of that."""
    cif = prototype("TiNiSi").to(fmt="cif")
    with (tmp_path / "raw.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["material_id", "cif"])
        writer.writerows([f"m{number}", cif] for number in range(20_000))
    command = [sys.executable, "-c", CODE]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    everyone: list[psutil.Process] = []
    while process.poll() is None and len(everyone) < 2:
        time.sleep(0.01)
        everyone = psutil.Process(process.pid).children(recursive=True)
    assert len(everyone) == 2, process.stdout.read()
    time.sleep(1)  # at work
    process.kill()
    try:
        process.communicate(timeout=60)
        assert not psutil.wait_procs(everyone, timeout=60)[1]
    finally:
        for child in everyone:
            if child.is_running():
                child.kill()


def test_too_many_rejects_are_told_and_kept_where_snakemake_does_not_delete_them(tmp_path):
    """Outputs of a failed rule are deleted; the error says the reasons itself, and names a table that stays."""
    raw, units, rejects = (tmp_path / name for name in ("train.csv", "train.npz", "train_rejects.csv"))
    good = prototype("TiNiSi").to(fmt="cif")
    rows = [["good", good], *([f"bad{number}", "data_x\n"] for number in range(12))]
    with raw.open("w", newline="") as file:
        csv.writer(file).writerows([["material_id", "cif"], *rows])
    with pytest.raises(InputError, match="12 of 13 rows rejected") as error:
        reduce.run(raw, units, rejects, ReduceSettings(), workers=1)
    text = str(error.value)
    assert "row 2 (bad0): no_atoms" in text
    assert "bad9" in text
    assert "bad10" not in text
    assert not rejects.exists()
    table = tmp_path / "train_too_many_rejects.csv"
    assert str(table) in text
    assert len(table.read_text().splitlines()) == 13

    reduce.run(raw, units, rejects, ReduceSettings(max_rejected_share=1), workers=1)
    assert len(rejects.read_text().splitlines()) == 13
    assert not table.exists()  # of the run that failed


def table(path, crystals):
    """A csv of cubic cells with the lengths of `crystals`, name → Å."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["material_id", "cif"])
        for name, length in crystals.items():
            writer.writerow([name, p1_cif(name, Cell(length * np.eye(3), np.array([55, 17]), SALT))])


def rejects_of(path):
    with path.open() as file:
        return {row["material_id"]: (row["row"], row["reason"]) for row in csv.DictReader(file)}


def test_a_crystal_that_hangs_crashes_or_eats_the_memory_is_a_reject(tmp_path):
    """In C code that nothing but the end of its process ends; the other crystals of its chunk are reduced."""
    bad = {"hangs": HANGS, "crashes": CRASHES, "no_memory": NO_MEMORY, "errs": ERRS}
    table(tmp_path / "raw.csv", {"a": 4.1, **bad, "b": 4.2})
    settings = ReduceSettings(max_rejected_share=1, seconds=5.0)
    with trap(tmp_path):
        reduce.run(tmp_path / "raw.csv", tmp_path / "units.npz", tmp_path / "rejects.csv", settings, workers=2)
    assert rejects_of(tmp_path / "rejects.csv") == {
        "hangs": ("2", "timed_out"),
        "crashes": ("3", "crashed"),
        "no_memory": ("4", "out_of_memory"),
        "errs": ("5", "failed:ZeroDivisionError"),
    }
    assert read_units(tmp_path / "units.npz").label.tolist() == ["a", "b"]


def test_results_do_not_depend_on_the_processes(tmp_path, monkeypatch):
    """In the order of the file, byte by byte, also of a chunk that was done again crystal by crystal."""
    monkeypatch.setattr(reduction, "CHUNK", 3)
    table(tmp_path / "raw.csv", {f"m{i}": 4 + i / 10 for i in range(20)})
    written = []
    for workers in (1, 2, 3):
        reduce.run(tmp_path / "raw.csv", tmp_path / "units.npz", tmp_path / "r.csv", ReduceSettings(), workers)
        written.append((tmp_path / "units.npz").read_bytes())
    assert written[0] == written[1] == written[2]
    units = read_units(tmp_path / "units.npz")
    assert units.label.tolist() == [f"m{i}" for i in range(20)]
    rows = list(read_rows(tmp_path / "raw.csv"))
    parts = [reduction._one_by_one(rows, {"symprec": 0.1, "max_orbits": 20, "max_atoms": 400}, 30.0)]
    assert np.array_equal(parts[0][0].position, units.position)
    assert np.array_equal(parts[0][0].k, units.k)


def test_too_large_a_crystal_is_refused_before_the_search(tmp_path, monkeypatch):
    """Ten formula units of 41 atoms have a primitive cell of at least 41; spglib need not be asked."""
    monkeypatch.setattr(reduction, "standard_cell", lambda *_: pytest.fail("a symmetry was searched for"))
    grid = np.stack(np.meshgrid(np.arange(41) / 41, np.arange(10) / 10), axis=-1).reshape(-1, 2)
    crystal = Cell(np.diag([123.0, 30.0, 3.0]), np.array([11] * 10 + [17] * 400), np.insert(grid, 2, 0, axis=1))
    row = RawRow(1, "m", p1_cif("m", crystal), {})
    _, rejects, _ = reduction.reduce_chunk([row], symprec=0.1, max_orbits=20, max_atoms=40)
    assert (rejects[0].reason, rejects[0].detail[:11]) == ("too_large", "at least 41")


@pytest.mark.parametrize("wrong", [{"symprec": 0}, {"symprec": -1}, {"symprec": float("nan")}, {"seconds": 0}])
def test_settings_that_would_hang(wrong):
    with pytest.raises(InputError, match=r"reduce\.\w+ = .*above 0"):
        ReduceSettings(**wrong)


@given(total=st.integers(1, 100_000), share=st.floats(0.001, 1))
def test_a_few_rejects_of_few_rows_do_not_stop_a_run(total, share):
    allowed = reduce.tolerated(total, share)
    assert allowed >= share * total
    assert allowed <= max(share * total, 3, 0)
    assert allowed < total or share == 1
    assert (allowed >= 1) == (total >= 4 or share * total >= 1)
    assert (allowed >= 3) == (total >= 12 or share * total >= 3)
    assert reduce.tolerated(total, 0) == 0


@pytest.mark.parametrize(("good", "bad"), [(29, 1), (5, 1), (17, 1), (9, 3), (2, 1), (0, 1), (8, 3), (20, 4)])
def test_one_broken_file_among_a_few(tmp_path, good, bad):
    stops = bad > 3 or bad > (good + bad) / 4
    cif = prototype("TiNiSi").to(fmt="cif")
    with (tmp_path / "raw.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["material_id", "cif"])
        writer.writerows([[f"bad{i}", "data_x\n"] for i in range(bad)] + [[f"m{i}", cif] for i in range(good)])
    arguments = tmp_path / "raw.csv", tmp_path / "units.npz", tmp_path / "rejects.csv"
    if stops:
        with pytest.raises(InputError, match=f"{bad} of {good + bad} rows rejected"):
            reduce.run(*arguments, ReduceSettings(), workers=1)
        return
    reduce.run(*arguments, ReduceSettings(), workers=1)
    listed = (tmp_path / "rejects.csv").read_text().splitlines()
    assert [line.split(",")[1] for line in listed[1:]] == [f"bad{i}" for i in range(bad)]
    with pytest.raises(InputError, match="rows rejected"):
        reduce.run(*arguments, ReduceSettings(max_rejected_share=0), workers=1)
