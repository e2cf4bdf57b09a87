"""The parts of a GPU lease, in small on a CPU; and a job that breaks does not stop the next one."""

from __future__ import annotations

import sys

import pytest

from symmcd.storage import write_units
from tests.diffusion.crystals import random_units


@pytest.fixture
def data(tmp_path):
    for split in ("train", "val"):
        write_units(tmp_path / f"{split}.npz", random_units(40, largest=3))
    return tmp_path


def run(data, part, *options):
    import gpu_lease

    output = data / part
    smoke = ["--data", str(data), "--output", str(output), "--device", "cpu", "--smoke", "--work", str(data / "work")]
    status = gpu_lease.main([part, *smoke, *options])
    return status, output, (output / "summary.md").read_text()


@pytest.mark.parametrize(
    ("part", "only", "files"),
    [
        ("first", ["check", "staged", "constants"], ["log.txt"]),
        ("weights", [], ["denoiser.safetensors.0", "losses.csv", "staged_samples.npz"]),
        ("paper", [], ["losses.csv", "paper200_samples.npz", "paper1000_samples.npz"]),
    ],
)
def test_a_part_runs_and_returns_what_may_come_back(data, part, only, files):
    status, output, summary = run(data, part, *(["--only", *only] if only else []))
    assert status == 0, summary + (output / "log.txt").read_text()
    names = [path.name for path in output.iterdir()]
    assert {"summary.md", "log.txt", *files} <= set(names)
    assert len(names) <= 8


def test_a_job_that_breaks_or_hangs_does_not_stop_the_next(tmp_path):
    import gpu_lease

    def outcome(code, limit):
        return gpu_lease.outcome(gpu_lease.Job("j", ((sys.executable, "-c", code),), limit, 0), tmp_path, limit)

    status, _, lines = outcome("print('| 1 |'); raise SystemExit(3)", 20)
    assert status == "FAILED with status 3"
    assert "| 1 |" in lines
    status, seconds, _ = outcome("import time; time.sleep(60)", 0.5)
    assert status.startswith("TIMED OUT")
    assert seconds < 10
