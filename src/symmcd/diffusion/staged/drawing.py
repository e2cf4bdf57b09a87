"""Wyckoff positions and elements drawn from the network, freely or given constraints (`diffusion.constraints`).

Drawing each element from the allowed ones, given the ones before it, does not sample p(crystal | allowed).  It favours
crystals whose first choices the model would seldom have made from these elements, and leaves groups, numbers of orbits
and positions at their unconditional frequencies.  The missing factor is known exactly: at every place it is the
probability that the unconstrained model takes an allowed element.  So one of several proposals is kept, with a
probability proportional to the product of these factors (sampling importance resampling, Rubin 1987).  This is exact in
the limit of many proposals.  Positions are handled in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from symmcd.diffusion.categorical import draw
from symmcd.diffusion.draws import StagedDraw
from symmcd.diffusion.random_streams import CrystalStreams
from symmcd.diffusion.sampler import Sampler
from symmcd.diffusion.staged.wyckoff_network import Memory, WyckoffNetwork
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences, rows_of_group

AT_ONCE = 2048  # crystals


class Drawn(NamedTuple):
    """B crystals drawn from the network."""

    sequences: WyckoffSequences
    log_weight: Tensor  # (B,) log p(crystal) - log q(crystal), see `draw_sequences`
    log_probability: Tensor  # (B,) natural logarithm of the network's own p, at temperature 1 and without constraints

    def select(self, crystals: Tensor) -> Drawn:
        """The rows `crystals` (a tensor of indices)."""
        return Drawn(self.sequences.select(crystals), self.log_weight[crystals], self.log_probability[crystals])

    @classmethod
    def concatenate(cls, parts: Sequence[Drawn]) -> Drawn:
        """All crystals of `parts`, padded to the longest."""
        sequences, *numbers = zip(*parts, strict=True)
        return cls(WyckoffSequences.concatenate(sequences), *map(torch.cat, numbers))


def draw_crystals(
    network: WyckoffNetwork,
    space_group: Tensor,
    orbits: Tensor,
    padded: Sequence[int],
    streams: CrystalStreams,
    sampler: Sampler,
) -> Drawn:
    """`draw_sequences` of crystals that are each padded to a number of orbits of their own.

    Crystals of one number of orbits are drawn together, `AT_ONCE` at most.  A crystal does not depend on the other
    crystals in its batch, up to the rounding of matrix products.
    """
    sizes = torch.tensor(padded)  # on the CPU, so that a GPU need not say which there are
    wyckoff = torch.zeros(len(orbits), max(padded), dtype=torch.int64, device=orbits.device)
    element = wyckoff.clone()
    log_weight = torch.zeros(len(orbits), device=orbits.device)
    log_probability = log_weight.clone()
    for size in sizes.unique().tolist():
        for rows in (sizes == size).nonzero()[:, 0].to(orbits.device).split(AT_ONCE):
            of_rows = space_group[rows], orbits[rows], size, streams.take(rows)
            drawn, log_weight[rows], log_probability[rows] = draw_sequences(network, *of_rows, sampler)
            wyckoff[rows, :size], element[rows, :size] = drawn.wyckoff, drawn.element
    return Drawn(WyckoffSequences(space_group, orbits, wyckoff, element), log_weight, log_probability)


def draw_sequences(
    network: WyckoffNetwork,
    space_group: Tensor,
    orbits: Tensor,
    padded: int,
    streams: CrystalStreams,
    sampler: Sampler,
) -> Drawn:
    """Wyckoff positions, then elements, one after the other; always legal ones.

    Each is drawn from p^(1/temperature), normalised: 1 is the model; below 1 frequent choices become more frequent,
    above 1 rare ones.  At each place the choices are those that the constraints of `sampler` allow, given the earlier
    choices.

    Returns:
        The crystals; in `log_weight`, q is the distribution that they were drawn from and p the model times the weights
        of `keep`: 0 without constraints, -inf for unwanted crystals, including those that reached a place without an
        allowed choice.
    """
    memory = network.begin()
    sequences, log_weight, log_probability = draw_positions(
        network, space_group, orbits, padded, streams, sampler, memory
    )
    uniform = streams.uniform(StagedDraw.ELEMENT, (padded,))
    for place in range(padded):
        free = network.next_element(sequences, place, memory)
        logits = (free / sampler.temperature).log_softmax(dim=-1)
        masks = [m for c in sampler.constraints if (m := c.allowed_elements(sequences, place)) is not None]
        logits, log_allowed = narrowed(logits, masks)
        chosen = draw(logits.softmax(dim=-1), uniform[:, place])
        sequences.element[:, place] = torch.where(place < orbits, chosen + 1, 0)
        log_weight = log_weight + torch.where(place < orbits, log_allowed, 0.0)
        log_probability = log_probability + torch.where(place < orbits, log_chosen(free, chosen), 0.0)
    for constraint in sampler.constraints:
        if (log_factor := constraint.keep(sequences)) is not None:
            log_weight = log_weight + log_factor
    return Drawn(sequences, log_weight, log_probability)


def draw_positions(
    network: WyckoffNetwork,
    space_group: Tensor,
    orbits: Tensor,
    padded: int,
    streams: CrystalStreams,
    sampler: Sampler,
    memory: Memory | None = None,
) -> Drawn:
    """The positions of `draw_sequences` with elements 0; what the network read is left in `memory`."""
    memory = network.begin() if memory is None else memory
    wyckoff = torch.zeros(len(orbits), padded, dtype=torch.int64, device=orbits.device)
    sequences = WyckoffSequences(space_group, orbits, wyckoff, torch.zeros_like(wyckoff))
    rows, _ = rows_of_group(space_group)
    crystal = torch.arange(len(orbits), device=orbits.device)
    uniform = streams.uniform(StagedDraw.WYCKOFF, (padded,))
    log_weight = log_probability = uniform.new_zeros(len(orbits))
    for place in range(padded):
        free = network.next_position(sequences, place, memory)
        logits = free / sampler.temperature
        masks = [m for c in sampler.constraints if (m := c.allowed_positions(sequences, place, rows)) is not None]
        logits, log_allowed = narrowed(logits.log_softmax(dim=-1) if masks else logits, masks)
        letter = draw(torch.softmax(logits, dim=-1), uniform[:, place])
        wyckoff[:, place] = torch.where(place < orbits, rows[crystal, letter], 0)
        log_weight = log_weight + torch.where(place < orbits, log_allowed, 0.0)
        log_probability = log_probability + torch.where(place < orbits, log_chosen(free, letter), 0.0)
    return Drawn(sequences, log_weight, log_probability)


def log_chosen(logits: Tensor, chosen: Tensor) -> Tensor:
    """(B,) natural logarithm of the probability of each `chosen` class (B,) of `logits` (B, C)."""
    return logits.gather(1, chosen[:, None])[:, 0] - logits.logsumexp(dim=1)


def narrowed(logits: Tensor, masks: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Log probabilities (B, C) of what all `masks` allow, not normalised, and (B,) the logarithm of their sum.

    Where nothing is allowed, they stay as they were, for something to be drawn, and the logarithm is -inf.
    """
    if not masks:
        return logits, logits.new_zeros(len(logits))
    allowed = torch.stack([mask.expand_as(logits) for mask in masks]).all(dim=0)
    left = logits.masked_fill(~allowed, -torch.inf)
    log_allowed = left.logsumexp(dim=-1)
    return torch.where(log_allowed[:, None] > -torch.inf, left, logits), log_allowed


def resampled(log_weight: Tensor, uniform: Tensor) -> Tensor:
    """(B,) which of its K proposals each of B crystals keeps, -1 where none may be.

    Args:
        log_weight: (B, K) of `draw_sequences`.
        uniform: (B,) in (0, 1).
    """
    best = log_weight.amax(dim=1, keepdim=True)
    some = best > -torch.inf
    weight = (log_weight - torch.where(some, best, 0.0)).exp()
    return torch.where(some[:, 0], draw(weight, uniform), -1)
