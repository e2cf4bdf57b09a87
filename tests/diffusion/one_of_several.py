"""Run under torchrun by test_distributed.py: gradients and losses of batches, of which each process takes a part."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from symmcd.batch import OrbitBatch
from symmcd.diffusion.data_statistics import DataStatistics
from symmcd.diffusion.denoiser import Denoiser
from symmcd.diffusion.distributed import Process, add_up, process_group
from symmcd.diffusion.forward_process import ForwardProcess
from symmcd.diffusion.loss import batch_losses, corrupted
from tests.diffusion.crystals import SMALL, random_units

WEIGHTS = {"lattice": 5.0, "position": 1.0, "element": 0.1, "site_symmetry": 10.0}


def gradients(crystals: int, this: Process) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """Of a batch with `crystals` crystals: gradients by name, and losses, as the processes beside `this` make them."""
    units = random_units(30)
    process = ForwardProcess(SMALL, DataStatistics.of(units))
    torch.manual_seed(0)
    network = Denoiser(SMALL)
    for head in (network.position_head, network.lattice_head, network.element_head, network.site_symmetry_head):
        torch.nn.init.normal_(head.weight, std=0.3)
    batch = corrupted(process, OrbitBatch.from_units(units).select(torch.arange(crystals)), seed=3)
    share = this.share(torch.arange(crystals))
    losses = batch_losses(network, *batch, WEIGHTS, backward=True, share=share)
    names, values = [*losses, "seconds"], [*losses.values(), 7.0 if this.writes else 0.0]
    losses = dict(zip(names, add_up(list(network.parameters()), values, this), strict=True))
    return {name: p.grad for name, p in network.named_parameters() if p.grad is not None}, losses


if __name__ == "__main__":
    with process_group(torch.device("cpu")) as this:
        found = {crystals: gradients(crystals, this) for crystals in map(int, sys.argv[2:])}
    torch.save(found, Path(sys.argv[1]) / f"rank{this.rank}.pt")
