"""What the Wyckoff network says of whole crystals: one pass gives the probability of every choice in them."""

from __future__ import annotations

import torch
from torch import Tensor

from symmcd.diffusion.staged.tables import symmetry_tables
from symmcd.diffusion.staged.wyckoff_ensemble import WyckoffEnsemble
from symmcd.diffusion.staged.wyckoff_network import WyckoffNetwork
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences


@torch.no_grad()
def log_probabilities(
    network: WyckoffNetwork | WyckoffEnsemble, crystals: WyckoffSequences, batch_size: int = 256
) -> Tensor:
    """(B, N, 2) natural logarithms for each position and each element given what stands before it, 0 where padded."""
    found = torch.zeros(*crystals.wyckoff.shape, 2, device=crystals.count.device)
    for rows in torch.argsort(crystals.count, stable=True).split(batch_size):
        batch = crystals.select(rows, int(crystals.count[rows].max()))
        logits, mask = network(batch), batch.mask
        first = symmetry_tables(mask.device).group_start[batch.space_group - 1]
        chosen = (batch.wyckoff - first[:, None]).clamp_min(0), (batch.element - 1).clamp_min(0)
        for part, (of_part, choice) in enumerate(zip((logits.wyckoff, logits.element), chosen, strict=True)):
            value = of_part.log_softmax(dim=-1).gather(2, choice[..., None])[..., 0]
            found[rows, : mask.shape[1], part] = torch.where(mask, value, 0.0)
    return found
