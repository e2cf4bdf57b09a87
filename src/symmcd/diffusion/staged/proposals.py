"""Choose the geometry that the denoiser rates likeliest among several for the same Wyckoff positions and elements.

A reverse process may end in a structure that the network itself rates as unlikely.  The likelier a crystal is, the
better the network predicts the noise added to it: the sum of these errors over all times is, up to a constant, the
bound on -log p that it was trained on (Kingma et al. 2021).  docs/model-study.md measures the gain.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from symmcd.diffusion.draws import StagedDraw
from symmcd.diffusion.random_streams import CrystalStreams
from symmcd.diffusion.staged.asked_geometry import AskedGeometry
from symmcd.diffusion.staged.environment import OrbitPairs
from symmcd.diffusion.staged.flat_crystals import FlatCrystals, members_of
from symmcd.diffusion.staged.geometry_network import GeometryNetwork
from symmcd.diffusion.staged.geometry_process import GeometryProcess, noised, reverse, squared_errors

# shares of T; at lower times all geometries fit alike, at higher ones noise hides differences (docs/model-study.md)
CHECKED = (0.1, 0.15, 0.2, 0.3, 0.4)
TOGETHER = {"cpu": 256, "cuda": 4096}  # geometries in one call: a GPU is launch-bound, a CPU's caches are small


def likeliest_geometry(
    process: GeometryProcess,
    network: GeometryNetwork,
    crystals: FlatCrystals,
    times: Sequence[int],
    streams: CrystalStreams,
    on_step: Callable[[int], None] = lambda _: None,
    *,
    corrector: bool = False,
    proposals: int = 1,
    asked: AskedGeometry | None = None,
) -> FlatCrystals:
    """The likeliest of `proposals` results of `geometry_process.reverse` for each crystal; other arguments are its own.

    `on_step` is called with the number of steps done as if there were one proposal.
    """
    steps, size = len(times) - 1, len(crystals)
    together = min(proposals, max(1, TOGETHER[crystals.k.device.type] // size))
    k: list[Tensor] = []
    u: list[Tensor] = []
    errors: list[Tensor] = []
    for first in range(0, proposals, together):
        numbers = range(first, min(first + together, proposals))

        def count(step: int, before: int = first * steps, at_once: int = len(numbers)) -> None:
            on_step((before + step * at_once) // proposals)

        many = torch.arange(size, device=crystals.k.device).repeat(len(numbers))
        branches = CrystalStreams.concatenate([streams.branch(number) for number in numbers])
        of_these = asked and asked.take(many, members_of(crystals.start, many)[1])
        made = reverse(
            process, network, crystals.take(many), times, branches, count, corrector=corrector, asked=of_these
        )
        if proposals == 1:
            return dataclasses.replace(crystals, k=made.k, u=made.u)
        error = denoising_error(process, network, made, streams.take(many))
        for found, values in ((k, made.k), (u, made.u), (errors, error)):
            found.append(values.view(len(numbers), -1, *values.shape[1:]))
    # argmin alone takes nan for the least
    best = torch.cat(errors).nan_to_num(nan=torch.inf).argmin(dim=0)
    crystal, orbit = (torch.arange(size, device=best.device) for size in (size, len(crystals.crystal)))
    return dataclasses.replace(crystals, k=torch.cat(k)[best, crystal], u=torch.cat(u)[best[crystals.crystal], orbit])


def denoising_error(
    process: GeometryProcess, network: GeometryNetwork, crystals: FlatCrystals, streams: CrystalStreams
) -> Tensor:
    """(B,) squared errors of lattice noise and normalised scores, summed over what is free and over `CHECKED` times.

    The noise is that of `streams`, whatever the geometry, so that geometries of one crystal compare.
    """
    pairs = OrbitPairs.of(crystals)
    lattice_normal = streams.normal(StagedDraw.CHECK_LATTICE, (len(CHECKED), 6))
    position_normal = crystals.unpadded(streams.normal(StagedDraw.CHECK_POSITION, (crystals.longest, len(CHECKED), 3)))
    total = torch.zeros_like(crystals.k[:, 0])
    for index, fraction in enumerate(CHECKED):
        time = torch.full_like(crystals.space_group, max(1, round(fraction * process.steps)))
        noisy = noised(process, crystals, time, lattice_normal[:, index], position_normal[:, index])
        lattice, position = squared_errors(process, network, crystals, pairs, noisy)
        total = crystals.sums.of_rows(position.sum(dim=1), onto=total + lattice.sum(dim=1))
    return total
