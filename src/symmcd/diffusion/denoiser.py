"""The denoising network: messages between all pairs of orbits (paper, appendix E.1).

Messages are summed over orbits, as the paper prints them; the authors' code takes means.  Where an
MLP acts on several things at once, its first layer is split into one linear map for each of them, which is the same
function: what depends on one orbit is computed once per orbit, not once per pair.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from symmcd.batch import NoisyBatch, laid_flat
from symmcd.crystallography.space_group import space_group_codes
from symmcd.diffusion.data_statistics import AXES, CLASSES, ELEMENTS
from symmcd.diffusion.joint_kind import JointSettings
from symmcd.diffusion.pair_blocks import Blocks, add_ends, received

GROUP_WIDTH = 128  # hidden width of the embedding of the space-group code
AXIS_FEATURES = 4  # embedding of one axis' class, the same map for all axes


@dataclass(frozen=True)
class Prediction:
    """Output of the denoiser for noisy crystals, in float32; values of padded orbits are meaningless.

    Orbits as they were given: (B, N, …) of a batch, (ΣBN, …) of several laid flat.
    """

    lattice_noise: Tensor  # (B, 6) ε̂ of the standardised k
    position_score: Tensor  # (…, 3) score over its root mean square, fractional coordinates
    element: Tensor  # (…, 118) logits of the clean element, atomic number 1 first
    site_symmetry: Tensor  # (…, 15, 13) logits of the clean class


class Denoiser(nn.Module):
    """ε̂, score and clean classes from a noisy crystal and its time."""

    codes: Tensor  # (230, 397) space-group codes, a buffer

    def __init__(self, settings: JointSettings) -> None:
        super().__init__()
        width, self.settings = settings.width, settings
        self.element = nn.Embedding(ELEMENTS + 1, width)  # 0: padding
        self.axis = nn.Embedding(CLASSES, AXIS_FEATURES)
        self.site_symmetry = mlp(AXES * AXIS_FEATURES, width, width)
        self.position = nn.Linear(6 * settings.frequencies, width)
        self.space_group = mlp(space_group_codes().shape[1], GROUP_WIDTH, width)
        self.time = mlp(settings.time_features, width, width)
        self.lattice = nn.Linear(6, width)
        self.start = nn.Linear(width, width)
        self.layers = nn.ModuleList(MessageLayer(settings) for _ in range(settings.layers))
        self.norm = nn.LayerNorm(width)
        self.position_head = nn.Linear(width, 3)
        self.lattice_head = nn.Linear(width, 6)
        self.element_head = nn.Linear(width, ELEMENTS)
        self.site_symmetry_head = nn.Linear(width, AXES * CLASSES)
        for head in (self.position_head, self.lattice_head, self.element_head, self.site_symmetry_head):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        codes = torch.tensor(space_group_codes(), dtype=torch.float32)
        self.register_buffer("codes", codes, persistent=False)  # from the tables, not the checkpoint

    def forward(self, state: NoisyBatch, time: Tensor) -> Prediction:
        """Prediction for a noisy `state` at `time` (B,) in 1 … T."""
        flat = self.together([state], [time])
        per_orbit = (flat.position_score, flat.element, flat.site_symmetry)
        return Prediction(flat.lattice_noise, *(value.unflatten(0, state.mask.shape) for value in per_orbit))

    def together(self, parts: Sequence[NoisyBatch], times: Sequence[Tensor]) -> Prediction:
        """Prediction for several states, each padded to its own number of orbits, laid flat as by `laid_flat`."""
        settings, blocks = self.settings, Blocks(tuple((len(part), part.mask.shape[1]) for part in parts))
        state, time = laid_flat(parts), torch.cat(list(times))
        sine, cosine = fourier(state.position, settings.frequencies)
        h = self.element(state.element) + self.site_symmetry(self.axis(state.site_symmetry).flatten(1))
        fraction = (time / settings.steps).to(h.dtype)
        crystal = (
            self.space_group(self.codes[state.space_group - 1])
            + self.time(time_features(fraction, settings.time_features))
            + self.lattice(state.z)
        )
        h = h + self.position(torch.cat([sine, cosine], dim=-1)) + blocks.to_orbits(crystal)
        h = self.start(silu(h))

        pair = torch.cat([pair_features(s, c) for s, c in zip(blocks.orbits(sine), blocks.orbits(cosine), strict=True)])
        if torch.is_autocast_enabled(pair.device.type):  # once, or every layer would make and keep its own copy
            pair = pair.to(torch.get_autocast_dtype(pair.device.type))
        senders = Senders.of(parts, h.dtype, blocks)
        lattice = blocks.to_orbits(state.z)
        for layer in self.layers:
            h = layer(h, pair, lattice, senders)
        h = self.norm(h)
        weighted = h * senders.mask[:, None]
        pooled = torch.cat([part.sum(dim=1) for part in blocks.orbits(weighted)])
        return Prediction(
            lattice_noise=self.lattice_head(pooled).float(),
            position_score=self.position_head(h).float(),
            element=self.element_head(h).float(),
            site_symmetry=self.site_symmetry_head(h).float().unflatten(1, (AXES, CLASSES)),
        )


@dataclass(frozen=True)
class Senders:
    """Orbits that send messages."""

    blocks: Blocks
    mask: Tensor  # (ΣBN,) 1, or 0 where padded
    full: tuple[bool, ...]  # for each block: nothing is padded

    @classmethod
    def of(cls, parts: Sequence[NoisyBatch], dtype: torch.dtype, blocks: Blocks) -> Senders:
        """Senders for the orbits of `parts`."""
        full = torch.stack([part.mask.all() for part in parts]).tolist()
        return cls(blocks, torch.cat([p.mask.flatten() for p in parts]).to(dtype), tuple(full))


class MessageLayer(nn.Module):
    """h_i ← h_i + φ_h(h_i, Σ_j φ_m(h_i, h_j, k, ψ(x_i - x_j))), on normalised h; j = i is one of the terms."""

    def __init__(self, settings: JointSettings) -> None:
        super().__init__()
        width = settings.width
        self.norm = nn.LayerNorm(width)
        self.receiver = nn.Linear(width, width)
        self.sender = nn.Linear(width, width, bias=False)
        self.lattice = nn.Linear(6, width, bias=False)
        self.pair = nn.Linear(6 * settings.frequencies, width, bias=False)
        self.message = nn.Linear(width, width)
        self.update = nn.Linear(2 * width, width)
        self.update_out = nn.Linear(width, width)

    def forward(self, h: Tensor, pair: Tensor, lattice: Tensor, senders: Senders) -> Tensor:
        """New h (orbits, width); pair (pairs, 6 F), lattice (orbits, 6) of each orbit's crystal."""
        n = self.norm(h)
        message = add_ends(self.pair(pair), self.receiver(n) + self.lattice(lattice), self.sender(n), senders.blocks)
        over = not torch.is_grad_enabled()  # without gradients nothing is kept, and memory that is warm is used again
        message = silu(self.message(silu(message, inplace=over)), inplace=over)
        total = received(message, senders.mask, senders.full, senders.blocks)
        update = silu(self.update_out(silu(self.update(torch.cat([n, total], dim=-1)))))
        return h + update


def mlp(features: int, hidden: int, out: int) -> nn.Sequential:
    """Two linear layers with a SiLU between them.

    The hidden layer is normalised: a space-group code is 397 bits of which few are set, and would start out as a
    whisper beside the other embeddings.  Three crystals of three groups are learnt in half as many steps for it.
    """
    return nn.Sequential(nn.Linear(features, hidden), nn.LayerNorm(hidden), nn.SiLU(), nn.Linear(hidden, out))


def fourier(position: Tensor, frequencies: int) -> tuple[Tensor, Tensor]:
    """sin and cos of 2π n x for n = 1 … F and the three coordinates, (B, N, 3 F) each: periodic by construction."""
    n = torch.arange(1, frequencies + 1, device=position.device, dtype=position.dtype)
    angle = (2 * math.pi * position[..., None] * n).flatten(-2)
    return angle.sin(), angle.cos()


def pair_features(sine: Tensor, cosine: Tensor) -> Tensor:
    """ψ(x_i - x_j): sin and cos of the differences by the addition theorems, from those of the orbits (B, N, 3 F).

    Returns:
        (B N N, 6 F), [b, i, j] of x_i - x_j laid flat.
    """
    s_i, s_j, c_i, c_j = sine[:, :, None], sine[:, None], cosine[:, :, None], cosine[:, None]
    return torch.cat([s_i * c_j - c_i * s_j, c_i * c_j + s_i * s_j], dim=-1).flatten(0, 2)


def time_features(fraction: Tensor, features: int) -> Tensor:
    """Sinusoids of t/T (B,) in (0, 1], (B, features), with periods from 4 (nearly linear) down to 1/64, evenly in log.

    The argument is t/T, not the bare step number, so that a network means the same for every T.
    """
    half = features // 2
    exponent = torch.arange(half, device=fraction.device) / max(half - 1, 1)
    angle = 2 * math.pi * fraction[:, None] * (0.25 * 256**exponent)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)
