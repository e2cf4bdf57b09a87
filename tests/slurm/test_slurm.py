"""The small chain through a real SLURM of two nodes, with the profile as it is shipped (`make test-slurm`)."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIGURATION = Path("/etc/slurm/slurm.conf")
OURS = CONFIGURATION.exists() and "symmcd" in CONFIGURATION.read_text(encoding="utf-8").splitlines()[0]

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.slow,
    pytest.mark.skipif(not OURS, reason="no SLURM of tests/slurm/start.sh is running: make test-slurm"),
]


def jobs_of(folder: Path) -> list[tuple[str, str, str, str]]:
    """Rule, state, node and requested GPUs of every job that the queue knows, of the run in `folder`."""
    # the executor says the rule in the comment, as rule_score_wildcards_0
    rows = subprocess.run(
        ["squeue", "--states=all", "--noheader", "--Format=Comment:|,State:|,NodeList:|,tres-per-job:|,WorkDir:|"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    split = [[cell.strip() for cell in row.split("|")] for row in rows]
    return [
        (re.sub(r"^rule_|_wildcards_.*$", "", comment), state, node, gpus)
        for comment, state, node, gpus, where, *_ in split
        if Path(where) == folder
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The chain, run once through the queue: the folder, and what Snakemake said."""
    folder = tmp_path_factory.mktemp("cluster").resolve()
    for name in ("Snakefile", "config", "workflow", "profiles", "src"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/slurm", "--jobs", "4"]
    # no accounting database; nodes of one core; a GPU is asked for, and where there is none the CPU serves
    command += ["--slurm-status-command", "squeue", "--max-threads", "1", "--config", "device=auto"]
    command += [
        "--latency-wait",
        "5",
        "--slurm-init-seconds-before-status-checks",
        "2",
        "--seconds-between-status-checks",
        "2",
    ]
    command += ["--configfile", "config/test.yaml", "--keep-going"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    return folder


def test_the_chain_ends_in_a_report(run):
    results = run / "results-test"
    assert (results / "sun.csv").stat().st_size > 0
    assert (results / "report" / "index.html").stat().st_size > 0


def test_jobs_ran_in_the_queue(run):
    jobs = jobs_of(run)
    assert {state for _, state, _, _ in jobs} == {"COMPLETED"}
    # download and gather_relaxed run where Snakemake runs
    assert {rule for rule, *_ in jobs} == {
        "reduce", "train_part", "train", "sample", "replicate", "score", "fingerprint",
        "fingerprint_test", "summarise",
        "relax", "judge", "reference", "own_reference", "hull", "sun", "candidates", "report",
    }  # fmt: skip


def test_shards_ran_on_both_nodes(run):
    """Each as a job of its own; which rule finds both nodes free at once is chance."""
    shards = [(rule, node) for rule, _, node, _ in jobs_of(run) if rule in ("sample", "score", "relax")]
    assert Counter(rule for rule, _ in shards) == {"sample": 2, "score": 2, "relax": 2}
    assert {node for _, node in shards} == {"node1", "node2"}


def test_gpu_jobs_asked_for_one(run):
    asked = {rule for rule, _, _, gpus in jobs_of(run) if "gpu:1" in gpus}
    assert asked == {"train_part", "sample", "relax", "judge", "reference", "own_reference"}
