"""The stage ``reduce`` in several processes."""

from __future__ import annotations

import csv
import subprocess
import sys
import time

import psutil
from tests.crystallography.prototypes import prototype

CODE = """
from pathlib import Path
from symmcd.settings import ReduceSettings
from symmcd.stages import reduce
reduce.run(Path("raw.csv"), Path("units.npz"), Path("rejects.csv"), ReduceSettings(workers=2))
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
