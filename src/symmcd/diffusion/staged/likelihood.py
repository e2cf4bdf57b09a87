"""Likelihood of whole crystals by the Wyckoff network: one pass gives the probability of every choice in them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from symmcd.diffusion.staged.wyckoff_network import WyckoffNetwork
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences


@torch.no_grad()
def log_probabilities(network: WyckoffNetwork, crystals: WyckoffSequences, batch_size: int = 256) -> Tensor:
    """(B, N, 2) natural logarithms for each position and each element given what stands before it, 0 where padded."""
    log_probability = torch.zeros(*crystals.wyckoff.shape, 2, device=crystals.count.device)
    for rows, batch in _batches(crystals, batch_size):
        logits, longest = network(batch), batch.wyckoff.shape[1]
        log_probability[rows, :longest, 0] = _chosen(logits.wyckoff, batch.letter, batch.mask)
        log_probability[rows, :longest, 1] = _chosen(logits.element, batch.element - 1, batch.mask)
    return log_probability


@torch.no_grad()
def position_log_probabilities(network: WyckoffNetwork, crystals: WyckoffSequences, batch_size: int = 256) -> Tensor:
    """(B,) of all positions of each crystal, whose elements are not looked at."""
    log_probability = torch.zeros(len(crystals), device=crystals.count.device)
    for rows, batch in _batches(crystals, batch_size):
        log_probability[rows] = _chosen(network.positions(batch), batch.letter, batch.mask).sum(dim=1)
    return log_probability


def _batches(crystals: WyckoffSequences, size: int) -> Iterator[tuple[Tensor, WyckoffSequences]]:
    """Rows of crystals of about the same number of orbits, and these crystals, padded no more than they need."""
    if not len(crystals):
        return  # `split` would make a batch of none
    for rows in torch.argsort(crystals.count, stable=True).split(size):
        yield rows, crystals.select(rows, int(crystals.count[rows].max()))


def _chosen(logits: Tensor, choice: Tensor, mask: Tensor) -> Tensor:
    """(B, N) logarithm of the probability of each `choice`, 0 where padded."""
    value = logits.log_softmax(dim=-1).gather(2, choice.clamp_min(0)[..., None])[..., 0]
    return torch.where(mask, value, 0.0)
