"""Elements of drawn crystals as frequent as those of the training set.

A network that was stopped before it learns its crystals by heart, and whose weights are averages, is off in what no
single crystal tells it: how frequent each element is.  The first shipped one drew a tenth more lanthanides than there
are, and densities with them.  So after the training its logits are shifted by one number an element, fitted to that
alone by stochastic approximation (Robbins & Monro 1951): crystals are drawn, and what they have too much of is made
rarer by the logarithm of the ratio.  In which crystals an element stands is left to the rest of the network.
"""

from __future__ import annotations

import torch
from torch import Tensor

from symmcd.diffusion.data_statistics import ELEMENTS
from symmcd.diffusion.random_streams import CrystalStreams, mixed_seed
from symmcd.diffusion.sampler import Sampler
from symmcd.diffusion.staged.drawing import AT_ONCE, draw_crystals
from symmcd.diffusion.staged.wyckoff_ensemble import WyckoffEnsemble
from symmcd.diffusion.staged.wyckoff_network import WyckoffNetwork
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences

UNSURE = 20.0  # orbits, drawn and real ones alike, that keep a rare element from being shifted by chance


@torch.inference_mode()
def calibrate_elements(network: WyckoffNetwork, crystals: WyckoffSequences, rounds: int, seed: int) -> Tensor:
    """Shift the logits of the elements until `network` draws them as often as `crystals` have them.

    In each round one crystal is drawn for each of `crystals`, of its group and number of orbits; what a drawn crystal
    might have had instead counts too, as the network's probability at each place, which is less noisy than what it has.

    Args:
        network: in evaluation mode; its ``element_head.bias`` is changed.
        crystals: the training set.
        rounds: the first two shift by what they find, the r-th by 1/(r - 1) of it, so that their chances even out.
        seed: of what is drawn.

    Returns:
        (118,) the shifts that were added up, atomic number 1 first.
    """
    real = torch.bincount(crystals.element[crystals.mask] - 1, minlength=ELEMENTS).to(torch.float64)
    total = torch.zeros_like(network.element_head.bias)
    for number in range(1, rounds + 1):
        drawn = expected_elements(network, crystals, mixed_seed(seed, number))
        shift = ((real + UNSURE) / (drawn + UNSURE)).log().to(total.dtype) / max(1, number - 1)
        network.element_head.bias.add_(shift)
        total.add_(shift)
    return total


def expected_elements(network: WyckoffNetwork, like: WyckoffSequences, seed: int) -> Tensor:
    """(118,) orbits of each element that crystals drawn with the groups and numbers of orbits of `like` have."""
    streams = CrystalStreams(seed, torch.arange(len(like), device=like.count.device))
    members, sampler = WyckoffEnsemble([network]), Sampler()
    drawn, _ = draw_crystals(members, like.space_group, like.count, like.count, streams, sampler)
    expected = torch.zeros(ELEMENTS, dtype=torch.float64, device=like.count.device)
    for rows in like.count.argsort().split(AT_ONCE):
        some = drawn.select(rows, int(like.count[rows].max()))
        expected += network(some).element[some.mask].softmax(dim=-1).sum(dim=0)
    return expected
