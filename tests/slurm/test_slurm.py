"""The small chain through a real SLURM of two nodes, with the profile as it is shipped, and one job cancelled.

The short form of `make test-slurm`, which .ci/run runs too.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
from tests.slurm.conftest import Cluster, Job, slurm


@dataclass(frozen=True)
class Run:
    """The chain after its end."""

    cluster: Cluster
    planned: Counter[str]
    with_gpu: set[str]
    cancelled: str  # number of the job


@pytest.fixture(scope="module")
def run(new_cluster) -> Run:
    cluster = new_cluster("chain")
    planned, with_gpu = cluster.planned()
    process = cluster.start()

    def relaxing(jobs: list[Job]) -> list[str]:
        return [job.number for job in jobs if (job.rule, job.state) == ("relax", "RUNNING")]

    number = relaxing(cluster.wait(process, lambda jobs: bool(relaxing(jobs))))[0]
    slurm("scancel", number)
    cluster.finish(process)
    return Run(cluster, planned, with_gpu, number)


def test_the_chain_ends_in_a_report(run):
    results = run.cluster.folder / "results-test"
    assert (results / "sun.csv").stat().st_size > 0
    assert (results / "report" / "index.html").stat().st_size > 0


def test_every_planned_job_was_completed_in_the_queue(run):
    assert {"sample", "relax", "report"} <= run.planned.keys()
    jobs = run.cluster.jobs()
    assert Counter(job.rule for job in jobs if job.state == "COMPLETED") == run.planned
    assert [job.number for job in jobs if job.state != "COMPLETED"] == [run.cancelled]


def test_shards_ran_on_both_nodes(run):
    """Which rule finds both nodes free at once is chance."""
    shards = [job for job in run.cluster.jobs() if run.planned[job.rule] > 1]
    assert {job.node for job in shards} == {"node1", "node2"}


def test_jobs_that_can_use_a_gpu_asked_for_one(run):
    assert {"train_part", "sample", "relax"} <= run.with_gpu
    assert {job.rule for job in run.cluster.jobs() if "gpu:1" in job.gpus} == run.with_gpu


def test_nothing_is_left_to_do(run):
    assert not run.cluster.planned()[0]
