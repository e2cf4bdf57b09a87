"""Forward and reverse process of a geometry: standardised k, and free coordinates only.

Coordinates that a Wyckoff position fixes are neither noised nor predicted.  So the crystal has its exact space group at
every time, and no projection is needed at the end.  Schedules are those of the joint process (see
`diffusion.forward_process`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from symmcd.diffusion.draws import DRAWS, Draw, StagedStepDraw
from symmcd.diffusion.noise_schedule import cosine_alpha_bar, geometric_sigma
from symmcd.diffusion.precision import products
from symmcd.diffusion.random_streams import CrystalStreams
from symmcd.diffusion.reverse_process import lattice_step, position_step
from symmcd.diffusion.staged.asked_geometry import FARTHEST, AskedGeometry
from symmcd.diffusion.staged.environment import OrbitPairs, environment
from symmcd.diffusion.staged.flat_crystals import FlatCrystals, members_of
from symmcd.diffusion.staged.geometry_network import GeometryNetwork, GeometryPrediction
from symmcd.diffusion.staged.kind import StagedSettings
from symmcd.diffusion.staged.lattice_scale import LatticeScale
from symmcd.diffusion.staged.symmetry_tables import symmetry_tables
from symmcd.diffusion.wrapped_normal import mean_square_score, wrapped_score

LATTICE_LANGEVIN, POSITION_LANGEVIN = 0.5, 1.4  # size of a corrector's step over the variance of the noise


class GeometryProcess:
    """Noise tables and the scale of k, on one device."""

    def __init__(self, settings: StagedSettings, scale: LatticeScale, precision: torch.dtype = torch.float32) -> None:
        device = scale.mean.device
        self.steps, self.scale, self.precision = settings.steps, scale, precision
        sigma = geometric_sigma(settings.steps, settings.sigma_min, settings.sigma_max)
        root = torch.cat([torch.zeros(1), mean_square_score(sigma[1:]).sqrt()])
        self.alpha_bar = cosine_alpha_bar(settings.steps).float().to(device)  # (T + 1,)
        self.sigma = sigma.float().to(device)  # (T + 1,)
        self.score_scale = root.float().to(device)  # (T + 1,)
        self.bounds = (torch.full((6,), -FARTHEST, device=device), torch.full((6,), FARTHEST, device=device))

    def predict(
        self, network: GeometryNetwork, crystals: FlatCrystals, pairs: OrbitPairs, z: Tensor, u: Tensor, time: Tensor
    ) -> GeometryPrediction:
        """The network's answer for lattices z (B, 6) and free coordinates u (A, 3) at `time` (B,)."""
        with torch.autocast(z.device.type, enabled=False):  # distances need all their digits
            around = environment(crystals, pairs, self.scale.unstandardise(z, crystals), u)
        with products(z.device, self.precision):
            return network(crystals, pairs, around, z, time)


@dataclass(frozen=True, eq=False)
class NoisyGeometry:
    """A geometry at some times, and what to predict of it."""

    z: Tensor  # (B, 6)
    u: Tensor  # (A, 3)
    time: Tensor  # (B,)
    lattice_noise: Tensor  # (B, 6)
    score: Tensor  # (A, 3) over its root mean square

    def take(self, rows: Tensor, orbits: Tensor) -> NoisyGeometry:
        """The crystals `rows`, which have the orbits `orbits`."""
        return NoisyGeometry(
            self.z[rows], self.u[orbits], self.time[rows], self.lattice_noise[rows], self.score[orbits]
        )


def corrupt(process: GeometryProcess, crystals: FlatCrystals, seed: int) -> NoisyGeometry:
    """Crystals at times drawn evenly from 1 … T."""
    device = crystals.k.device
    generator = torch.Generator(device).manual_seed(seed)
    time = torch.randint(1, process.steps + 1, (len(crystals),), generator=generator, device=device)
    lattice = torch.randn(len(crystals), 6, generator=generator, device=device)
    position = torch.randn(len(crystals.u), 3, generator=generator, device=device)
    return noised(process, crystals, time, lattice, position)


def noised(
    process: GeometryProcess, crystals: FlatCrystals, time: Tensor, lattice: Tensor, position: Tensor
) -> NoisyGeometry:
    """Crystals at `time` (B,) by the standard normal numbers `lattice` (B, 6) and `position` (A, 3)."""
    free = _free_coordinates(crystals)
    noise = lattice * _free_coefficients(crystals)
    of_orbit = time[crystals.crystal]
    sigma = process.sigma[of_orbit][:, None]
    shift = sigma * position * free
    a = process.alpha_bar[time][:, None]
    z = a.sqrt() * process.scale.standardise(crystals) + (1 - a).sqrt() * noise
    score = wrapped_score(shift, sigma) / process.score_scale[of_orbit][:, None] * free
    return NoisyGeometry(z, (crystals.u + shift) % 1.0 * free, time, noise, score)


def squared_errors(
    process: GeometryProcess, network: GeometryNetwork, crystals: FlatCrystals, pairs: OrbitPairs, noisy: NoisyGeometry
) -> tuple[Tensor, Tensor]:
    """Squared errors of the lattice noise (B, 6) and of the normalised scores (A, 3); zero where nothing is free."""
    prediction = process.predict(network, crystals, pairs, noisy.z, noisy.u, noisy.time)
    lattice = (prediction.lattice_noise - noisy.lattice_noise) ** 2 * _free_coefficients(crystals)
    return lattice, (prediction.score - noisy.score) ** 2 * _free_coordinates(crystals)


def geometry_losses(
    process: GeometryProcess,
    network: GeometryNetwork,
    crystals: FlatCrystals,
    seed: int,
    share: Tensor | None = None,
) -> Tensor:
    """Mean squared errors of the lattice noise and of the normalised score, (2,).

    The first is the mean over the free coefficients of each crystal, then over crystals; the second that over the free
    coordinates of all orbits.  With `share`, what these of the crystals add to the means over all of `crystals`.
    """
    noisy = corrupt(process, crystals, seed)
    whole, coordinates = len(crystals), _free_coordinates(crystals).sum().clamp_min(1)
    if share is not None:
        _, orbits = members_of(crystals.start, share)
        crystals, noisy = crystals.take(share), noisy.take(share, orbits)
    lattice, position = squared_errors(process, network, crystals, OrbitPairs.of(crystals), noisy)
    lattice = lattice.sum(dim=1) / _free_coefficients(crystals).sum(dim=1)
    return torch.stack([lattice.sum() / whole, position.sum() / coordinates])


def langevin_step(x: Tensor, scaled_score: Tensor, sigma: Tensor, size: float, noise: Tensor) -> Tensor:
    """x + h ∇log p + √(2 h) noise with h = `size` σ², where `scaled_score` is σ ∇log p."""
    return x + sigma * (size * scaled_score + (2 * size) ** 0.5 * noise)


def _free_coordinates(crystals: FlatCrystals) -> Tensor:
    """(A, 3) bool."""
    return symmetry_tables(crystals.k.device).free[crystals.wyckoff]


def _free_coefficients(crystals: FlatCrystals) -> Tensor:
    """(B, 6) bool, of k."""
    return symmetry_tables(crystals.k.device).lattice_free[crystals.space_group - 1]


def reverse(
    process: GeometryProcess,
    network: GeometryNetwork,
    crystals: FlatCrystals,
    times: Sequence[int],
    streams: CrystalStreams,
    on_step: Callable[[int], None] = lambda _: None,
    *,
    corrector: bool = False,
    asked: AskedGeometry | None = None,
) -> FlatCrystals:
    """Geometries for the positions and elements of `crystals`, whose k and u are not looked at.

    Args:
        process: noise tables.
        network: the denoiser.
        crystals: space groups, Wyckoff positions, elements.
        times: T first and 0 last, see `noise_schedule.reverse_times`.
        streams: random numbers of the crystals.
        on_step: called with the number of each finished step.
        corrector: one Langevin step at the new noise level after each step but the last.  Its sizes were found on
            validation crystals (docs/model-study.md).
        asked: bounds of the cells, and what of the geometry is given.
    """
    free_k, free_u = _free_coefficients(crystals), _free_coordinates(crystals)
    pairs = OrbitPairs.of(crystals)
    of_orbits = (crystals.longest, 3)
    bounds = process.bounds if asked is None else (asked.low, asked.high)

    def with_given(z: Tensor, u: Tensor, time: int, z_noise: Tensor, u_noise: Tensor) -> tuple[Tensor, Tensor]:
        if asked is None:
            return z, u
        z = asked.cells(z, process.alpha_bar[time], z_noise) * free_k
        return z, asked.coordinates(u, process.sigma[time], u_noise) * free_u

    z = streams.normal(Draw.LATTICE, (6,)) * free_k
    u = crystals.unpadded(streams.uniform(Draw.POSITION, of_orbits)) * free_u
    if asked is not None:
        z, u = with_given(z, u, times[0], z, crystals.unpadded(streams.normal(Draw.POSITION, of_orbits)))
    for step, (t, s) in enumerate(pairwise(times), start=1):
        first = step * DRAWS
        prediction = process.predict(network, crystals, pairs, z, u, torch.full_like(z[:, 0], t))
        z_noise = streams.normal(first + Draw.LATTICE, (6,))
        u_noise = crystals.unpadded(streams.normal(first + Draw.POSITION, of_orbits))
        a_t, a_s = process.alpha_bar[t], process.alpha_bar[s]
        z = lattice_step(z, prediction.lattice_noise, a_t, a_s, bounds, z_noise) * free_k
        score = prediction.score * process.score_scale[t]
        u = position_step(u, score, process.sigma[t], process.sigma[s], u_noise) * free_u
        z, u = with_given(z, u, s, z_noise, u_noise)
        if corrector and s:
            prediction = process.predict(network, crystals, pairs, z, u, torch.full_like(z[:, 0], s))
            z_noise = streams.normal(first + StagedStepDraw.LATTICE_CORRECTOR, (6,)) * free_k
            u_noise = crystals.unpadded(streams.normal(first + StagedStepDraw.POSITION_CORRECTOR, of_orbits)) * free_u
            z = langevin_step(z, -prediction.lattice_noise, (1 - a_s).sqrt(), LATTICE_LANGEVIN, z_noise) * free_k
            score = prediction.score * process.score_scale[s] * process.sigma[s]
            u = langevin_step(u, score, process.sigma[s], POSITION_LANGEVIN, u_noise) % 1.0 * free_u
            z, u = with_given(z, u, s, z_noise, u_noise)
        on_step(step)
    return dataclasses.replace(crystals, k=process.scale.unstandardise(z, crystals), u=u)
