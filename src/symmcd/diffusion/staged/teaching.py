"""Teaching a generator from the choices of a stability model: its Wyckoff network is trained further on chosen drafts.

Choosing discards most drafts.  A network that has learnt from chosen drafts draws more of their kind, so that the best
of the same number of drafts is better.  The geometry network is unchanged.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from symmcd.crystallography.drafts import Drafts
from symmcd.diffusion.checkpoint import Checkpoint
from symmcd.diffusion.staged.model import trained
from symmcd.diffusion.staged.objectives import negative_log_likelihood
from symmcd.diffusion.staged.wyckoff_network import WyckoffNetwork
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences
from symmcd.errors import InputError

BATCH, RATE, CLIP = 256, 1e-4, 1.0  # a twentieth of the rate of training: the network is to change a little
VALIDATION_BATCH = 512
HELD_OUT = 10  # one in so many drafts is not learnt from, and says when to stop
HALF = 0.5  # a count that every number of orbits of a group keeps, so that none becomes impossible

OnEpoch = Callable[[int, float], None]  # epoch, nats a held-out draft


def taught(
    checkpoint: Checkpoint,
    drafts: Drafts,
    epochs: int,
    *,
    seed: int = 0,
    about: Mapping[str, Any] | None = None,
    on_epoch: OnEpoch = lambda _, __: None,
) -> Checkpoint:
    """`checkpoint` after its Wyckoff network was trained on with `drafts`, up to the epoch of the lowest held-out loss.

    Its p(space group, number of orbits) becomes that of `drafts`; what none of them has keeps half a count.

    Args:
        checkpoint: of a staged model.
        drafts: chosen ones, at least 20.
        epochs: at most.
        seed: of the drafts held out and of the order of the others.
        about: JSON values to keep beside it, in the metadata's `taught`.
        on_epoch: called before the first epoch and after each.

    Raises:
        InputError: too few drafts.
    """
    if len(drafts) < 2 * HELD_OUT:
        raise InputError(f"{len(drafts)} drafts to learn from: expected at least {2 * HELD_OUT}")
    crystals = WyckoffSequences.from_units(drafts)
    order = torch.as_tensor(np.random.default_rng(seed).permutation(len(crystals)))
    held, learnt = (crystals.select(rows) for rows in order.tensor_split([len(order) // HELD_OUT]))
    network = trained(WyckoffNetwork(checkpoint.settings), checkpoint, "wyckoff").requires_grad_(True)
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.0)
    best, kept, best_epoch = _loss(network, held), _weights(network), 0
    on_epoch(0, best)
    for epoch in range(1, epochs + 1):
        _train(network, optimiser, learnt, seed * 1000 + epoch)
        loss = _loss(network, held)
        on_epoch(epoch, loss)
        if loss < best:
            best, kept, best_epoch = loss, _weights(network), epoch
    story = {"drafts": len(drafts), "epoch": best_epoch, "held_out_nats": best, "seed": seed, **(about or {})}
    orbit_count = _counted(drafts, checkpoint.statistics.orbit_count)
    return dataclasses.replace(
        checkpoint,
        weights=checkpoint.weights | {f"wyckoff.{name}": value for name, value in kept.items()},
        statistics=dataclasses.replace(
            checkpoint.statistics, orbit_count=orbit_count, space_group_count=orbit_count.sum(dim=1)
        ),
        metadata=checkpoint.metadata | {"taught": story},
    )


def _train(network: WyckoffNetwork, optimiser: torch.optim.Optimizer, crystals: WyckoffSequences, seed: int) -> None:
    """One epoch."""
    torch.manual_seed(seed)  # dropout
    network.train()
    for rows in torch.randperm(len(crystals)).split(BATCH):
        some = crystals.select(rows, int(crystals.count[rows].max()))
        loss = negative_log_likelihood(network, some).sum() / len(rows)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimiser.step()


def _loss(network: WyckoffNetwork, crystals: WyckoffSequences) -> float:
    """Nats a crystal."""
    network.eval()
    total = 0.0
    with torch.inference_mode():
        for rows in crystals.count.argsort().split(VALIDATION_BATCH):
            some = crystals.select(rows, int(crystals.count[rows].max()))
            total += float(negative_log_likelihood(network, some).sum())
    return total / len(crystals)


def _weights(network: WyckoffNetwork) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _counted(drafts: Drafts, before: Tensor) -> Tensor:
    """(230, M + 1) drafts of each space group and number of orbits; half a count where `before` has some."""
    count = torch.zeros_like(before)
    group, orbits = torch.as_tensor(drafts.space_group - 1), torch.as_tensor(drafts.orbits)
    count.index_put_((group, orbits), torch.ones(len(drafts), dtype=count.dtype), accumulate=True)
    return torch.where(before > 0, count + HALF, 0)
