"""What a cluster does to jobs: time limits, `scancel`, nodes that go, and a login node that kills Snakemake.

The jobs are two shards of `sample` by the shipped weights, which wait where the test wants them to, so that the fault
meets a running job.  In the end their crystals are those of a run without faults.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.faults.contents import differences
from tests.slurm.conftest import Cluster, Job, slurm

ROOT = Path(__file__).parents[2]
SHARDS = tuple(f"results/samples/shard{shard}.npz" for shard in range(2))
WORDS = ("--rerun-triggers", "mtime", "--allowed-rules", "sample", "--", *SHARDS)
WAITING = """\
#!/bin/bash
# symmcd, of which `sample` waits as long as there is a file `hold`
if [ "$1" = sample ]; then
    echo "$SLURM_JOB_ID" >> began.txt
    while [ -e hold ]; do sleep 0.2; done
fi
exec {python} -m symmcd "$@"
"""


@pytest.fixture(scope="module")
def prepared(new_cluster) -> Callable[[str], Cluster]:
    """Makes folders in which only the sampling is left to do."""

    def make(name: str) -> Cluster:
        cluster = new_cluster(name, config=("device=auto", "results=results", "sampling={number: 4, steps: 5}"))
        weights = cluster.folder / "results/training/seed0/denoiser.safetensors"
        weights.parent.mkdir(parents=True)
        weights.write_bytes((ROOT / "src/symmcd/weights/mp20.safetensors").read_bytes())
        stand_in = cluster.folder / "bin/symmcd"
        stand_in.parent.mkdir()
        stand_in.write_text(WAITING.format(python=shlex.quote(sys.executable)))
        stand_in.chmod(0o755)
        cluster.environment["PATH"] = f"{stand_in.parent}:{os.environ['PATH']}"
        return cluster

    return make


@pytest.fixture(scope="module")
def undisturbed(prepared) -> Path:
    cluster = prepared("undisturbed")
    cluster.finish(cluster.start(*WORDS, slurm=False))
    return cluster.folder


@pytest.fixture
def held(prepared, request) -> Cluster:
    """A folder whose jobs wait until `release`."""
    cluster = prepared(request.node.name)
    (cluster.folder / "hold").touch()
    return cluster


def release(cluster: Cluster) -> None:
    (cluster.folder / "hold").unlink()


def both_wait(cluster: Cluster) -> Callable[[list[Job]], bool]:
    """Whether both shards are running, and wait."""
    began = cluster.folder / "began.txt"
    return lambda jobs: (
        Counter(job.state for job in jobs)["RUNNING"] == 2 and began.exists() and len(began.read_text().split()) >= 2
    )


def states(cluster: Cluster) -> Counter[str]:
    return Counter(job.state for job in cluster.jobs())


def test_time_limit(held, undisturbed):
    """SLURM ends both after a minute; the second attempts have two."""
    process = held.start("--set-resources", "sample:runtime=attempt", *WORDS)
    held.wait(process, lambda jobs: Counter(job.state for job in jobs)["TIMEOUT"] == 2)
    release(held)
    held.finish(process)
    assert states(held) == {"TIMEOUT": 2, "COMPLETED": 2}
    assert not differences(held.folder, undisturbed, SHARDS)


def test_scancel(held, undisturbed):
    process = held.start(*WORDS)
    jobs = held.wait(process, both_wait(held))
    slurm("scancel", jobs[0].number)
    held.wait(process, lambda jobs: Counter(job.state for job in jobs)["CANCELLED"] == 1)
    release(held)
    held.finish(process)
    assert states(held) == {"CANCELLED": 1, "COMPLETED": 2}
    assert not differences(held.folder, undisturbed, SHARDS)


def test_node_down(held, undisturbed):
    """SLURM queues the job of a node that is lost again, under the same number; Snakemake waits for it."""
    process = held.start(*WORDS)
    jobs = held.wait(process, both_wait(held))
    lost = jobs[0]
    slurm("scontrol", "update", f"nodename={lost.node}", "state=down", "reason=test")
    try:
        held.wait(process, lambda jobs: {job.number: job.state for job in jobs}[lost.number] != "RUNNING")
        release(held)
        held.finish(process)
    finally:
        slurm("scontrol", "update", f"nodename={lost.node}", "state=resume")
    began = Counter((held.folder / "began.txt").read_text().split())
    assert began[lost.number] == 2
    assert states(held) == {"COMPLETED": 2}
    assert {job.node for job in held.jobs()} == {"node1", "node2"} - {lost.node}
    assert not differences(held.folder, undisturbed, SHARDS)


def test_drain(held, undisturbed):
    """A node that is drained ends the job that it has; nothing runs twice."""
    process = held.start(*WORDS)
    jobs = held.wait(process, both_wait(held))
    node = jobs[0].node
    slurm("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
    try:
        release(held)
        held.finish(process)
    finally:
        slurm("scontrol", "update", f"nodename={node}", "state=resume")
    assert states(held) == {"COMPLETED": 2}
    assert len((held.folder / "began.txt").read_text().split()) == 2
    assert not differences(held.folder, undisturbed, SHARDS)


def test_snakemake_killed_with_jobs_in_the_queue(held, undisturbed):
    """What docs/slurm.md says to do, word by word."""
    process = held.start(*WORDS)
    held.wait(process, both_wait(held))
    process.kill()
    process.wait()
    assert states(held) == {"RUNNING": 2}
    text = (ROOT / "docs/slurm.md").read_text(encoding="utf-8")
    cancel = re.search(r"^    (squeue --me (?:.*\\\n)*.*scancel)$", text, re.MULTILINE)[1]  # on several lines
    subprocess.run(
        ["bash", "-c", cancel], cwd=held.folder, env={"PATH": os.environ["PATH"], "PWD": str(held.folder)}, check=True
    )
    release(held)
    held.finish(held.start("--unlock"))
    held.finish(held.start(*WORDS))
    assert states(held) == {"CANCELLED": 2, "COMPLETED": 2}
    assert not differences(held.folder, undisturbed, SHARDS)
