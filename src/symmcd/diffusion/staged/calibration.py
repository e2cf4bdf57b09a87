"""Calibration: element frequencies of the network are matched to the training set.

Early stopping and weight averaging leave the network's marginal element frequencies biased, because no single crystal
determines them.  The first shipped network expected 5 % too many lanthanides in its own training crystals, and drew
crystals that are too dense.  So after the training one number per element is added to the logits, until the network
expects each element in the training crystals as often as it occurs.  With these numbers the likelihood of the training
crystals is highest: its gradient is the difference of the two frequencies (iterative scaling, Darroch & Ratcliff 1972).
The rest of the network decides which crystals have an element.
"""

from __future__ import annotations

import torch
from torch import Tensor

from symmcd.diffusion.data_statistics import ELEMENTS
from symmcd.diffusion.staged.drawing import AT_ONCE
from symmcd.diffusion.staged.wyckoff_network import WyckoffNetwork
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences

UNSURE = 20.0  # orbits, expected and real ones alike, that make the shifts of rare elements small


@torch.inference_mode()
def calibrate_elements(network: WyckoffNetwork, crystals: WyckoffSequences, rounds: int) -> Tensor:
    """Shift the logits of the elements until `network` expects each in `crystals` as often as it occurs.

    Args:
        network: in evaluation mode; its ``element_head.bias`` is changed.
        crystals: the training set.
        rounds: passes over it; each makes what is expected too often rarer by the logarithm of the ratio.

    Returns:
        (118,) the shifts that were added up, atomic number 1 first.
    """
    real = torch.bincount(crystals.element[crystals.mask] - 1, minlength=ELEMENTS).to(torch.float64)
    total = torch.zeros_like(network.element_head.bias)
    for _ in range(rounds):
        shift = ((real + UNSURE) / (expected_elements(network, crystals) + UNSURE)).log().to(total.dtype)
        network.element_head.bias.add_(shift)
        total.add_(shift)
    return total


def expected_elements(network: WyckoffNetwork, crystals: WyckoffSequences) -> Tensor:
    """(118,) sums over all orbits of the network's probability of each element, given what stands before the orbit."""
    expected = torch.zeros(ELEMENTS, dtype=torch.float64, device=crystals.count.device)
    for rows in crystals.count.argsort().split(AT_ONCE):
        some = crystals.select(rows, int(crystals.count[rows].max()))
        expected += network(some).element[some.mask].softmax(dim=-1).sum(dim=0)
    return expected
