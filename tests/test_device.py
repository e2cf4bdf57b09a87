"""Which device a job takes, and that jobs beside each other take different GPUs (there need not be any here)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from symmcd import device
from symmcd.errors import InputError

WAITS = """
import sys
from pathlib import Path
from symmcd import device
print(device.first_free(["0", "GPU-ab/c", "2"], Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here")
def test_cuda_that_is_not_there_is_said():
    assert device.choose_device("auto").type == device.choose_device("cpu").type == "cpu"
    with pytest.raises(InputError, match="torch sees no CUDA device; use --device cpu"):
        device.choose_device("cuda")


def test_a_word_that_is_no_device_is_refused():
    with pytest.raises(InputError, match="device = 'gpu': choose auto, cuda or cpu"):
        device.choose_device("gpu")


def test_jobs_beside_each_other_hold_different_gpus(tmp_path):
    """Processes are real, locks too; a killed one gives its GPU back."""
    jobs = []
    for expected in ("0", "1", "2", "None"):
        job = subprocess.Popen(
            [sys.executable, "-c", WAITS, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        jobs.append(job)
        assert job.stdout.readline().strip() == expected
    jobs[1].kill()
    jobs[1].wait()
    again = subprocess.run(
        [sys.executable, "-c", WAITS, tmp_path], input="", capture_output=True, text=True, check=True
    )
    assert again.stdout.strip() == "1"
    for job in jobs:
        job.kill()
        job.communicate()


@pytest.fixture
def four_gpus(monkeypatch, tmp_path) -> list[int]:
    """A machine that says it has four; the devices that were made the current one."""
    made_current: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "set_device", made_current.append)
    monkeypatch.setattr(device.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(device, "_held", [])
    for name in ("WORLD_SIZE", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    return made_current


def test_a_job_takes_one_gpu_and_keeps_it(four_gpus, tmp_path):
    device.hold_gpu("auto")
    device.hold_gpu("cuda")  # a second stage of the same process
    assert four_gpus == [0]
    assert [path.name for path in tmp_path.iterdir()] == ["symmcd-gpu-0.lock"]


def test_locks_are_of_the_machines_gpus_not_of_the_jobs_numbers(four_gpus, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7, 5,6,4")
    device.hold_gpu("auto")
    assert four_gpus == [0]
    assert [path.name for path in tmp_path.iterdir()] == ["symmcd-gpu-7.lock"]


@pytest.mark.parametrize(("name", "variable"), [("cpu", "X"), ("cuda", "WORLD_SIZE")])
def test_who_has_a_gpu_or_wants_none_is_left_alone(four_gpus, tmp_path, monkeypatch, name, variable):
    monkeypatch.setenv(variable, "4")
    device.hold_gpu(name)
    assert not four_gpus
    assert not list(Path(tmp_path).iterdir())
