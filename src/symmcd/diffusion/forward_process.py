"""Joint forward process of a crystal's four parts: k, coordinates, elements, site symmetry (paper, 4.3 and D).

All parts of a crystal share one time t.  Two choices where the paper leaves room or disagrees with itself:

- Coordinates follow appendix D and Jiao et al. (2023): x_t = x_0 + σ_t ε mod 1, a wrapped normal of growing width
  around x_0.  Algorithm 1 prints √ᾱ x_0 + √(1 - ᾱ) ε, which is not defined on a torus; the authors' code does not
  use it either.
- k is standardised first, (k - mean)/std of the training set (`standardise_lattice`): its coefficients differ tenfold
  in size, and N(0, 1) noise would drown most of them from the first steps on.  The paper's own choice is
  ``standardise_lattice: false``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from symmcd.batch import CrystalRows, NoisyBatch, OrbitBatch
from symmcd.crystallography.lattice import fixed_coefficients, free_coefficients
from symmcd.diffusion.categorical import corrupt
from symmcd.diffusion.data_statistics import AXES, DataStatistics
from symmcd.diffusion.joint_kind import JointSettings
from symmcd.diffusion.noise_schedule import cosine_alpha_bar, geometric_sigma
from symmcd.diffusion.wrapped_normal import mean_square_score, wrapped_score


@dataclass(frozen=True, eq=False)
class Noise:
    """Random numbers for one corruption of a batch."""

    lattice: Tensor  # (B, 6) standard normal
    position: Tensor  # (B, N, 3) standard normal
    element: Tensor  # (B, N) uniform in (0, 1)
    site_symmetry: Tensor  # (B, N, 15) uniform

    @classmethod
    def draw(cls, crystals: int, orbits: int, generator: torch.Generator) -> Noise:
        """Noise for B crystals of N orbits, on the generator's device."""
        device = generator.device
        return cls(
            torch.randn(crystals, 6, generator=generator, device=device),
            torch.randn(crystals, orbits, 3, generator=generator, device=device),
            torch.rand(crystals, orbits, generator=generator, device=device),
            torch.rand(crystals, orbits, AXES, generator=generator, device=device),
        )


@dataclass(frozen=True, eq=False)
class Target(CrystalRows):
    """Targets of the denoiser for a corrupted batch."""

    PER_ORBIT = ("position_score", "element", "site_symmetry")

    lattice_noise: Tensor  # (B, 6) ε, 0 where the space group fixes the coefficient
    position_score: Tensor  # (B, N, 3) ∂ log q(x_t | x_0) / ∂x_t over its root mean square
    element: Tensor  # (B, N) atomic number of the clean crystal
    site_symmetry: Tensor  # (B, N, 15) class index of the clean crystal


class ForwardProcess:
    """Noise tables, marginals and the scale of k, on one device."""

    def __init__(self, settings: JointSettings, statistics: DataStatistics) -> None:
        self.steps = settings.steps
        sigma = geometric_sigma(settings.steps, settings.sigma_min, settings.sigma_max)
        scale = torch.cat([torch.zeros(1), mean_square_score(sigma[1:]).sqrt()])
        device = statistics.lattice_mean.device
        self.alpha_bar = cosine_alpha_bar(settings.steps).float().to(device)  # (T + 1,)
        self.sigma = sigma.float().to(device)  # (T + 1,)
        self.score_scale = scale.float().to(device)  # (T + 1,) root mean square of the score
        self.element_marginal = statistics.element_marginal  # (118,)
        self.site_symmetry_marginal = statistics.site_symmetry_marginal  # (230, 15, 13)
        standardised = settings.standardise_lattice
        self.lattice_mean = statistics.lattice_mean if standardised else torch.zeros(6, device=device)
        self.lattice_std = statistics.lattice_std if standardised else torch.ones(6, device=device)
        self.lattice_bounds = (self.standardise(statistics.lattice_low), self.standardise(statistics.lattice_high))
        self.lattice_free = torch.tensor(free_coefficients(), device=device)  # (230, 6)
        self._lattice_fixed = torch.tensor(fixed_coefficients(), device=device, dtype=torch.float32)

    def standardise(self, k: Tensor) -> Tensor:
        """z = (k - mean)/std, (..., 6)."""
        return (k - self.lattice_mean) / self.lattice_std

    def unstandardise(self, z: Tensor) -> Tensor:
        """k of z, (..., 6)."""
        return z * self.lattice_std + self.lattice_mean

    def constrain(self, z: Tensor, space_group: Tensor) -> Tensor:
        """z with the coefficients that the space group fixes put in.  z (B, 6), space_group (B,)."""
        fixed = self.standardise(self._lattice_fixed[space_group - 1])
        return torch.where(self.lattice_free[space_group - 1], z, fixed)

    def corrupt(self, clean: OrbitBatch, time: Tensor, noise: Noise) -> tuple[NoisyBatch, Target]:
        """The state at `time` (B,) in 1 … T, and what the denoiser should say of it.

        Padded orbits hold element 0 and site-symmetry class 0 at every time.
        """
        group = clean.space_group - 1
        a, sigma = self.alpha_bar[time], self.sigma[time]
        z = self.standardise(clean.k)
        z_t = self.constrain(a.sqrt()[:, None] * z + (1 - a).sqrt()[:, None] * noise.lattice, clean.space_group)

        shift = sigma[:, None, None] * noise.position
        score = wrapped_score(shift, sigma[:, None, None]) / self.score_scale[time][:, None, None]

        element = corrupt((clean.element - 1).clamp_min(0), a[:, None], self.element_marginal, noise.element) + 1
        marginal = self.site_symmetry_marginal[group][:, None]  # (B, 1, 15, 13)
        site_symmetry = corrupt(clean.site_symmetry, a[:, None, None], marginal, noise.site_symmetry)
        state = NoisyBatch(
            space_group=clean.space_group,
            z=z_t,
            position=torch.where(clean.mask[..., None], (clean.position + shift) % 1.0, 0.0),
            element=torch.where(clean.mask, element, 0),
            site_symmetry=torch.where(clean.mask[..., None], site_symmetry, 0),
            mask=clean.mask,
        )
        return state, Target(noise.lattice * self.lattice_free[group], score, clean.element, clean.site_symmetry)
