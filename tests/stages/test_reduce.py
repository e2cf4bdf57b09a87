"""The stage ``reduce``: several processes, and too many rows that cannot be used."""

from __future__ import annotations

import csv
import subprocess
import sys
import time

import psutil
import pytest
from tests.crystallography.prototypes import prototype

from symmcd.errors import InputError
from symmcd.settings import ReduceSettings
from symmcd.stages import reduce

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
    while process.poll() is None and len(everyone) < 4:  # resource tracker, fork server, two workers
        time.sleep(0.01)
        everyone = psutil.Process(process.pid).children(recursive=True)
    assert len(everyone) == 4, process.stdout.read()
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
