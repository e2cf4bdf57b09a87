"""The workflow in a folder of its own, as `symmcd init` writes it, run through the SLURM of start.sh."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest

from symmcd.stages import init

CONFIGURATION = Path("/etc/slurm/slurm.conf")
PATIENCE = 1500  # seconds for anything that is waited for, on a busy machine
# no accounting database; nodes of one core; and what is asked often, as the jobs here are short
SHORT_JOBS = "--jobs 4 --slurm-status-command squeue --max-threads 1 --latency-wait 5 --seconds-between-status-checks 2"
SHORT_JOBS += " --slurm-init-seconds-before-status-checks 2"


def pytest_collection_modifyitems(items):
    ours = CONFIGURATION.exists() and "symmcd" in CONFIGURATION.read_text(encoding="utf-8").splitlines()[0]
    skip = pytest.mark.skip(reason="no SLURM of tests/slurm/start.sh is running: make test-slurm")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for mark in (pytest.mark.slurm, pytest.mark.slow, *([] if ours else [skip])):
                item.add_marker(mark)


class Job(NamedTuple):
    """One job that the queue knows, running or not."""

    number: str
    rule: str
    state: str
    node: str
    gpus: str


@dataclass
class Cluster:
    """A folder with the workflow, whose jobs go through SLURM."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)
    config: tuple[str, ...] = ("device=auto",)  # a GPU is asked for, and where there is none the CPU serves

    def __post_init__(self) -> None:
        self.folder = self.folder.resolve()
        init.run(self.folder)
        self.said = self.folder.with_name(f"{self.folder.name}.txt")  # what Snakemake says

    def command(self, *words: str, slurm: bool = True) -> list[str]:
        through = ["--workflow-profile", "profiles/slurm", *SHORT_JOBS.split()]
        where = through if slurm else ["--cores", "1"]
        command = [sys.executable, "-m", "snakemake", *where, "--configfile", "config/test.yaml"]
        return [*command, "--config", *self.config, *words]

    def start(self, *words: str, slurm: bool = True) -> subprocess.Popen[str]:
        with self.said.open("a") as said:
            process = subprocess.Popen(
                self.command(*words, slurm=slurm), cwd=self.folder, env=os.environ | self.environment,
                stdout=said, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
        self.started.append(process)
        return process

    def finish(self, process: subprocess.Popen[str]) -> None:
        """Wait for Snakemake, which must end well."""
        assert process.wait(PATIENCE) == 0, self.said.read_text()[-8000:]

    def wait(self, process: subprocess.Popen[str], condition: Callable[[list[Job]], bool]) -> list[Job]:
        """The jobs as soon as `condition` holds for them; Snakemake must be running meanwhile."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            jobs = self.jobs()
            if condition(jobs):
                return jobs
            assert process.poll() is None, self.said.read_text()[-8000:]
            time.sleep(0.5)
        raise AssertionError(f"waited in vain: {jobs}\n{self.said.read_text()[-8000:]}")

    def jobs(self) -> list[Job]:
        """Every job of this folder."""
        return jobs_in(self.folder)

    def planned(self, *words: str) -> tuple[Counter[str], set[str]]:
        """How many jobs of each rule go to the queue, and which rules ask for a GPU: from a dry run of the workflow.

        A dry run does not tell rules that run where Snakemake does; they say `localrule` in the workflow.
        """
        done = subprocess.run(
            self.command("--dry-run", *words), cwd=self.folder, capture_output=True, text=True, check=True
        )
        jobs = re.findall(r"^rule (\w+):\n(?:    .*\n)*?    resources: (.*)$", done.stdout, re.MULTILINE)
        files = [self.folder / "workflow/Snakefile", *(self.folder / "workflow/rules").glob("*.smk")]
        rules = [part for file in files for part in re.split(r"^ *rule ", file.read_text(), flags=re.MULTILINE)[1:]]
        local = {re.match(r"\w+", rule)[0] for rule in rules if "localrule: True" in rule}
        jobs = [(rule, asked) for rule, asked in jobs if rule not in local]
        return Counter(rule for rule, _ in jobs), {rule for rule, asked in jobs if re.search(r"\bgpu=1\b", asked)}

    def close(self) -> None:
        """End what a test that failed has left: Snakemake, and jobs in the queue."""
        for process in self.started:
            process.kill()
        left = [job.number for job in self.jobs() if job.state in ("PENDING", "RUNNING", "COMPLETING")]
        if left:
            slurm("scancel", *left)


def slurm(*words: str) -> str:
    """What a command of SLURM prints."""
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def jobs_in(folder: Path) -> list[Job]:
    """Every job that works in a folder."""
    names = ("JobID", "Comment", "State", "NodeList", "tres-per-job", "WorkDir")
    rows = slurm("squeue", "--states=all", "--noheader", f"--Format={','.join(f'{name}:|' for name in names)}")
    split = [[cell.strip() for cell in row.split("|")] for row in rows.splitlines()]
    return [
        # the executor says the rule in the comment, as rule_score_wildcards_0
        Job(number, re.sub(r"^rule_|_wildcards_.*$", "", comment), state, node, gpus)
        for number, comment, state, node, gpus, where, *_ in split
        if Path(where) == folder
    ]


@pytest.fixture(scope="module")
def new_cluster(tmp_path_factory):
    """Folders with the workflow by name; what they leave in the queue is cancelled in the end."""
    made = []

    def make(name: str, **options) -> Cluster:
        made.append(Cluster(tmp_path_factory.mktemp("cluster") / name, **options))
        return made[-1]

    yield make
    for cluster in made:
        cluster.close()
