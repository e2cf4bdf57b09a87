"""Gradients of two processes are those of one; who a process is comes from torchrun's variables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from symmcd.diffusion.distributed import Process, this_process
from symmcd.errors import InputError
from tests.diffusion import one_of_several

VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE")
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_gradients_of_two_processes_add_up_to_those_of_one(tmp_path):
    """Of 25 crystals, and of a single one, which leaves the second process without work."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    script = ["-m", one_of_several.__name__, str(tmp_path), "25", "1"]
    done = subprocess.run([*command, *script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    ranks = [torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1)]
    for crystals in (25, 1):
        one, losses = one_of_several.gradients(crystals, Process())
        (first, first_losses), (second, second_losses) = (rank[crystals] for rank in ranks)
        assert first_losses == second_losses
        assert first_losses == pytest.approx(losses, rel=1e-6)
        assert losses["seconds"] == 7
        scale = max(float(gradient.abs().max()) for gradient in one.values())
        for name, gradient in one.items():
            assert torch.equal(first[name], second[name])
            torch.testing.assert_close(first[name], gradient, rtol=1e-6, atol=1e-6 * scale)


def test_a_process_knows_who_it_is(monkeypatch):
    assert this_process() == Process(rank=0, local_rank=0, number=1)
    for name, value in zip(VARIABLES, ("5", "1", "8"), strict=True):
        monkeypatch.setenv(name, value)
    process = this_process()
    assert process == Process(rank=5, local_rank=1, number=8)
    assert not process.writes
    assert process.device(torch.device("cuda")) == torch.device("cuda", 1)
    assert process.device(torch.device("cpu")) == torch.device("cpu")


def test_shares_are_disjoint_and_together_everything():
    rows = torch.randperm(23)
    shares = [Process(rank, rank, 5).share(rows) for rank in range(5)]
    assert sorted(torch.cat(shares).tolist()) == list(range(23))
    assert {len(share) for share in shares} == {4, 5}


@pytest.mark.parametrize("values", [{"WORLD_SIZE": "2"}, {"WORLD_SIZE": "2", "RANK": "2"}, {"WORLD_SIZE": "x"}])
def test_contradictory_variables_are_refused(monkeypatch, values):
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="torchrun"):
        this_process()
