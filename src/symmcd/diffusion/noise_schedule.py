"""Amount of noise at each time t = 0 … T; index 0 of every table is the clean crystal."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def cosine_alpha_bar(steps: int, offset: float = 0.008) -> Tensor:
    """ᾱ_t = ∏ (1 - β_s), s ≤ t, of Nichol & Dhariwal's cosine schedule (2021, eq. 17).

    β is clipped to [1e-4, 0.9999], so ᾱ_T is small but not zero.  Used for lattice, elements and site symmetry.

    Returns:
        (steps + 1,) float64, from 1 to almost 0.
    """
    time = torch.arange(steps + 1, dtype=torch.float64) / steps
    f = torch.cos((time + offset) / (1 + offset) * math.pi / 2) ** 2
    beta = (1 - f[1:] / f[:-1]).clamp(1e-4, 0.9999)
    return torch.cat([torch.ones(1, dtype=torch.float64), torch.cumprod(1 - beta, dim=0)])


def geometric_sigma(steps: int, smallest: float, largest: float) -> Tensor:
    """σ_t of the coordinates' wrapped normal, from `smallest` at t = 1 to `largest` at t = T in equal ratios.

    Returns:
        (steps + 1,) float64; σ_0 = 0.
    """
    sigma = torch.logspace(math.log10(smallest), math.log10(largest), steps, dtype=torch.float64)
    return torch.cat([torch.zeros(1, dtype=torch.float64), sigma])


def reverse_times(steps_of_training: int, steps: int) -> list[int]:
    """Times of a reverse process, T first and 0 last, spread evenly over the T steps of training."""
    return [round(steps_of_training * (steps - i) / steps) for i in range(steps + 1)]
