"""The workflow through SLURM where it does not lie: from another folder, and as a module of another workflow."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.slurm.conftest import PATIENCE, SHORT_JOBS, jobs_in

UNITS = [f"asymmetric_units/{split}.npz" for split in ("val", "test")]
MODULE = """\
module mine:
    snakefile: "../there/workflow/Snakefile"
    config: {{"results": "results-mine", "data": {{"source": "prototypes", "limit": 30}}, "reduce": {reduce}}}

use rule * from mine as mine_*

rule units:
    default_target: True
    input: {inputs}
    localrule: True
"""


@pytest.fixture(scope="module")
def there(new_cluster) -> Path:
    """Where the workflow lies."""
    return new_cluster("there").folder


def snakemake(folder: Path, *words: str) -> str:
    """What a run through SLURM says; it must end well."""
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", "../there/profiles/slurm", *SHORT_JOBS.split()]
    done = subprocess.run([*command, *words], cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def completed(folder: Path) -> Counter[str]:
    """How many jobs of each rule ended well in a folder; all of them have."""
    jobs = jobs_in(folder)
    assert {job.state for job in jobs} == {"COMPLETED"}
    return Counter(job.rule for job in jobs)


def test_from_another_folder_into_a_third(there):
    here, results = there.with_name("here"), there.with_name("results folder")
    here.mkdir()
    words = ("--snakefile", "../there/Snakefile", "--directory", "../results folder")
    words += ("--configfile", "../there/config/test.yaml", "--", *(f"results-test/{units}" for units in UNITS))
    snakemake(here, *words)
    assert completed(results) == {"reduce": 2}
    assert all((results / "results-test" / units).stat().st_size > 0 for units in UNITS)
    assert not [path.name for folder in (here, there) for path in folder.glob("results*")]
    assert "Nothing to be done" in snakemake(here, "--dry-run", *words)


def test_as_a_module(there):
    around = there.with_name("around")
    around.mkdir()
    inputs = ", ".join(f'"results-mine/{units}"' for units in UNITS)
    (around / "Snakefile").write_text(MODULE.format(inputs=inputs, reduce={"max_rejected_share": 0.05}))
    snakemake(around)
    assert completed(around) == {"mine_reduce": 2}
    assert all((around / "results-mine" / units).stat().st_size > 0 for units in UNITS)
    assert "Nothing to be done" in snakemake(around, "--dry-run")
