"""Wyckoff positions and elements drawn from the network, freely or given which elements a crystal may have.

To draw each element from those allowed, given the ones before it, is not yet to draw from p(crystal | allowed): it
favours crystals whose first choices the model would seldom have made from these elements, and leaves groups, numbers
of orbits and positions as they were.  What is missing is a factor known exactly: the probability that the model, asked
freely, would have taken an allowed element, at every place.  So of several proposals one is kept with probability
proportional to the product of these (sampling importance resampling, Rubin 1987), which is exact in the limit of many.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from symmcd.diffusion.categorical import draw
from symmcd.diffusion.random_streams import CrystalStreams
from symmcd.diffusion.sampler import Sampler
from symmcd.diffusion.staged.wyckoff_ensemble import WyckoffEnsemble
from symmcd.diffusion.staged.wyckoff_network import Memory
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences, candidates, primitive_atoms

AT_ONCE = 2048  # crystals
WYCKOFF, ELEMENT = 2, 3  # draws of random numbers; the geometry's are in `geometry_process`, the template's is 5


def draw_crystals(
    network: WyckoffEnsemble,
    space_group: Tensor,
    orbits: Tensor,
    padded: Sequence[int],
    streams: CrystalStreams,
    sampler: Sampler,
) -> tuple[WyckoffSequences, Tensor]:
    """`draw_sequences` of crystals that are each padded to a number of orbits of their own.

    Those of one number are drawn together, `AT_ONCE` at most.  What a crystal is drawn with has no say in it, up to the
    rounding of matrix products.
    """
    sizes = torch.tensor(padded)  # on the CPU, so that a GPU need not say which there are
    wyckoff = torch.zeros(len(orbits), max(padded), dtype=torch.int64, device=orbits.device)
    element = wyckoff.clone()
    log_weight = torch.zeros(len(orbits), device=orbits.device)
    for size in sizes.unique().tolist():
        for rows in (sizes == size).nonzero()[:, 0].to(orbits.device).split(AT_ONCE):
            of_rows = space_group[rows], orbits[rows], size, streams.take(rows)
            drawn, log_weight[rows] = draw_sequences(network, *of_rows, sampler)
            wyckoff[rows, :size], element[rows, :size] = drawn.wyckoff, drawn.element
    return WyckoffSequences(space_group, orbits, wyckoff, element), log_weight


def draw_sequences(
    network: WyckoffEnsemble,
    space_group: Tensor,
    orbits: Tensor,
    padded: int,
    streams: CrystalStreams,
    sampler: Sampler,
) -> tuple[WyckoffSequences, Tensor]:
    """Wyckoff positions, then elements, one after the other; always legal ones.

    Each is drawn from p^(1/temperature), normalised: 1 is the model, below 1 more of what is frequent, above 1 more
    of what is rare.  With ``sampler.elements``, each element is drawn from these, given what was drawn before it.

    Returns:
        The crystals, and (B,) log p(crystal) - log q(crystal), where q is what they were drawn from and p the model:
        0 where all elements are allowed, -inf for those that lack one where ``sampler.every_element``, and for those of
        more than ``sampler.most_atoms``.
    """
    memory = network.begin()
    sequences = draw_positions(network, space_group, orbits, padded, streams, sampler, memory)
    allowed = torch.ones_like(network.seen)
    if sampler.elements:
        numbers = torch.tensor(sampler.elements, device=allowed.device)
        allowed = torch.zeros_like(allowed).index_fill(0, numbers - 1, value=True)
    uniform = streams.uniform(ELEMENT, (padded,))
    log_weight = uniform.new_zeros(len(orbits))
    for place in range(padded):
        said = (network.next_element(sequences, place, memory) / sampler.temperature).log_softmax(dim=-1)
        said = said.masked_fill(~allowed, -torch.inf)
        chosen = draw(said.softmax(dim=-1), uniform[:, place]) + 1
        sequences.element[:, place] = torch.where(place < orbits, chosen, 0)
        if sampler.elements:
            log_weight = log_weight + torch.where(place < orbits, said.logsumexp(dim=-1), 0.0)
    if sampler.every_element:
        has = (sequences.element[:, :, None] == numbers).any(dim=1)
        log_weight = log_weight.masked_fill(~has.all(dim=1), -torch.inf)
    if sampler.most_atoms is not None:
        log_weight = log_weight.masked_fill(primitive_atoms(sequences) > sampler.most_atoms, -torch.inf)
    return sequences, log_weight


def draw_positions(
    network: WyckoffEnsemble,
    space_group: Tensor,
    orbits: Tensor,
    padded: int,
    streams: CrystalStreams,
    sampler: Sampler,
    memory: Sequence[Memory] | None = None,
) -> WyckoffSequences:
    """The positions of `draw_sequences`; elements are 0.  What the network read of them is left in `memory`."""
    memory = network.begin() if memory is None else memory
    wyckoff = torch.zeros(len(orbits), padded, dtype=torch.int64, device=orbits.device)
    sequences = WyckoffSequences(space_group, orbits, wyckoff, torch.zeros_like(wyckoff))
    rows, _ = candidates(space_group)
    crystal = torch.arange(len(orbits), device=orbits.device)
    uniform = streams.uniform(WYCKOFF, (padded,))
    for place in range(padded):
        logits = network.next_position(sequences, place, memory)
        letter = draw(torch.softmax(logits / sampler.temperature, dim=-1), uniform[:, place])
        wyckoff[:, place] = torch.where(place < orbits, rows[crystal, letter], 0)
    return sequences


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
