"""The smallest chain with its real stages: once undisturbed, once with every stage killed at its first attempt."""

from __future__ import annotations

import csv
import stat
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

RESULTS = "results-test"

# Runs the real `symmcd`; the first time that it is called with these words, kills it by SIGKILL once it has written
# something to go on from, or after two seconds.
KILLER = """\
#!{python}
import glob, hashlib, os, subprocess, sys, time

marker = "killed-" + hashlib.sha256(" ".join(sys.argv[1:]).encode()).hexdigest()[:12]
process = subprocess.Popen([{symmcd!r}, *sys.argv[1:]])
if not os.path.exists(marker):
    open(marker, "w").write(sys.argv[1])
    traces = {{"train": "*/training/*/checkpoint.safetensors", "relax": "*/relaxed/*.partial"}}
    waited = time.monotonic() + (120 if sys.argv[1] in traces else 2)
    while process.poll() is None and time.monotonic() < waited and not glob.glob(traces.get(sys.argv[1], "none")):
        time.sleep(0.02)
    process.kill()
    process.wait()
    sys.exit(137)
sys.exit(process.wait())
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, copy_workflow):
    workflow = copy_workflow(tmp_path_factory.mktemp("chain"), stand_in=False)
    done = workflow.run("--cores", "2", "--configfile", "config/test.yaml", timeout=1200)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    return workflow.folder / RESULTS


@pytest.fixture(scope="module")
def killed(tmp_path_factory, copy_workflow):
    workflow = copy_workflow(tmp_path_factory.mktemp("killed"), stand_in=False)
    script = workflow.folder / "bin" / "symmcd"
    real = Path(sys.executable).with_name("symmcd")
    script.write_text(KILLER.format(python=sys.executable, symmcd=str(real)))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    done = workflow.run("--cores", "2", "--configfile", "config/test.yaml", "--retries", "1", timeout=1200)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    stages = {path.read_text() for path in workflow.folder.glob("killed-*")}
    assert {"download", "reduce", "train", "sample", "replicate", "score", "relax", "judge", "hull", "sun"} <= stages
    assert {"candidates", "report"} <= stages
    return workflow.folder / RESULTS


def rows(path: Path) -> list[dict[str, str]]:
    """Rows of a table without what a clock wrote."""
    with path.open(newline="", encoding="utf-8") as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def test_every_file_of_the_contract_is_there(undisturbed):
    for name in (
        "raw/source.json",
        "asymmetric_units/train.npz",
        "asymmetric_units/test_rejects.csv",
        "training/seed0/denoiser.safetensors",
        "training/seed0/losses.csv",
        "samples/shard1.npz",
        "crystals/units.npz",
        "crystals/crystals.extxyz",
        "metrics/per_crystal.csv",
        "metrics/summary.csv",
        "relaxed/relaxed.csv",
        "relaxed/relaxed.extxyz",
        "judges/sevennet-0/shard0.csv",
        "hull/reference.csv",
        "hull/own/sevennet-0.csv",
        "hull.csv",
        "sun.csv",
        "sun_per_crystal.csv",
        "candidates.csv",
        "candidates.zip",
        "report/index.html",
        "logs/train/seed0.log",
        "benchmarks/train/seed0.tsv",
    ):
        assert (undisturbed / name).stat().st_size > 0, name
    assert not list(undisturbed.rglob("*.partial"))
    assert not list(undisturbed.rglob(".*.tmp.*"))


def test_each_crystal_is_counted_once(undisturbed):
    assert [row["id"] for row in rows(undisturbed / "metrics" / "per_crystal.csv")] == [f"{i:05d}" for i in range(12)]
    relaxed = [row["id"] for row in rows(undisturbed / "relaxed" / "relaxed.csv")]
    assert len(set(relaxed)) == len(relaxed) == 4
    assert relaxed == sorted(relaxed)


@pytest.mark.parametrize(
    "name",
    [
        "training/seed0/losses.csv",
        "metrics/per_crystal.csv",
        "metrics/summary.csv",
        "relaxed/relaxed.csv",
        "hull.csv",
        "sun.csv",
        "sun_per_crystal.csv",
    ],
)
def test_killed_stages_lose_and_change_nothing(undisturbed, killed, name):
    assert rows(killed / name) == rows(undisturbed / name)


def test_killed_stages_leave_nothing_behind(killed):
    assert not list(killed.rglob("*.partial"))
