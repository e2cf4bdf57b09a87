"""Training on several devices: each process takes a part of every batch, and one reduction per step adds up gradients.

The losses of a batch are divided by the counts of the whole batch (`loss.batch_losses`), so gradients of its parts add
up to that of the batch and nothing else has to be exchanged: with the same seed all processes draw the same batches and
noise, start from the same weights and take the same steps.  `torchrun` starts the processes and sets the environment
variables that `this_process` reads; without them everything here does nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from symmcd.errors import InputError


@dataclass(frozen=True)
class Process:
    """One of the processes that train together."""

    rank: int = 0  # 0 is the one that writes and prints
    local_rank: int = 0  # on this machine: the number of its CUDA device
    number: int = 1  # number of processes

    @property
    def writes(self) -> bool:
        """Return whether this process writes files and lines of the log."""
        return self.rank == 0

    def device(self, device: torch.device) -> torch.device:
        """The device that this process works on, of the same kind as `device`."""
        return torch.device("cuda", self.local_rank) if device.type == "cuda" and self.number > 1 else device

    def share(self, rows: Tensor) -> Tensor:
        """Select this process' share of the crystals `rows` of a batch: every `number`-th, none if there are fewer."""
        return rows[self.rank :: self.number]


def this_process() -> Process:
    """Describe this process by the environment variables that torchrun sets; alone without them.

    Raises:
        InputError: the variables contradict each other.
    """
    if "WORLD_SIZE" not in os.environ:
        return Process()
    try:
        rank, number = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        local_rank = int(os.environ.get("LOCAL_RANK", rank))
    except (KeyError, ValueError) as error:
        raise InputError(f"WORLD_SIZE is set, but not RANK and LOCAL_RANK beside it ({error}); use torchrun") from None
    if not 0 <= rank < number:
        raise InputError(f"RANK = {rank} and WORLD_SIZE = {number} contradict each other; use torchrun")
    return Process(rank, local_rank, number)


@contextlib.contextmanager
def process_group(device: torch.device) -> Iterator[Process]:
    """Connect the processes that train together, NCCL between CUDA devices and gloo otherwise, until the block ends."""
    process = this_process()
    if process.number == 1:
        yield process
        return
    if device.type == "cuda":
        torch.cuda.set_device(process.local_rank)
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo", rank=process.rank, world_size=process.number
    )
    try:
        yield process
    finally:
        distributed.destroy_process_group()


def add_up(parameters: Sequence[nn.Parameter], values: Sequence[float], process: Process) -> list[float]:
    """Sum gradients, in place, and `values` over all processes, in one reduction of one flat tensor.

    Afterwards they are the same, bit for bit, in every process.  A parameter without a gradient counts as zero: a
    process may have got no crystal at all.  Values travel in the gradients' precision.

    Args:
        parameters: of the network.
        values: losses, say, or seconds that only one process counts (the others give 0).
        process: this one.
    """
    if process.number == 1:
        return list(values)
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat = torch.cat([*(g.flatten() for g in gradients), gradients[0].new_tensor(values)])
    distributed.all_reduce(flat)
    *parts, sums = flat.split([*(p.numel() for p in parameters), len(values)])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.grad = part.view_as(parameter)
    return list(sums.tolist())
