"""Requirements on a geometry beside the space group: bounds of the volume, given cells and coordinates.

Bounds hold exactly: they clamp the estimate of the finished cell at every reverse step, and the last step returns the
estimate.  Given values are inserted again at each noise level, with noise of that level, so that the network generates
matching values for the rest (Lugmayr et al. 2022).  At the end they are exact up to rounding in single precision.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from symmcd.diffusion.constraints.constraint import Constraint
from symmcd.diffusion.constraints.judged import volume_bounds
from symmcd.diffusion.constraints.volumes import LEAST_WIDTH
from symmcd.diffusion.staged.flat_crystals import FlatCrystals
from symmcd.diffusion.staged.lattice_scale import SIZE, LatticeScale
from symmcd.diffusion.staged.symmetry_tables import symmetry_tables
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences

FARTHEST = 4.0  # standard deviations that a sampled z may be from the mean of its crystal family


@dataclass(frozen=True, eq=False)
class AskedGeometry:
    """Requirements for B crystals with A orbits."""

    low: Tensor  # (B, 6) least standardised k
    high: Tensor  # (B, 6)
    z: Tensor  # (B, 6) of given cells
    cell: Tensor  # (B, 1) bool: the cell is given
    u: Tensor  # (A, 3) given free coordinates
    orbit: Tensor  # (A, 1) bool: the coordinates are given

    @classmethod
    def of(
        cls,
        scale: LatticeScale,
        crystals: FlatCrystals,
        sequences: WyckoffSequences,
        constraints: Sequence[Constraint],
    ) -> AskedGeometry | None:
        """Requirements for the same crystals, flat and as sequences; None if no constraint concerns the geometry."""
        given = [known for c in constraints if (known := c.known_geometry(sequences)) is not None]
        volumes = volume_bounds(constraints, sequences)
        if not given and volumes is None:
            return None
        low = torch.full_like(crystals.k, -FARTHEST)
        high = -low
        if volumes is not None:
            of_size = size_bounds(scale, crystals, volumes)
            low[:, SIZE], high[:, SIZE] = (bound.clamp(-FARTHEST, FARTHEST).to(low.dtype) for bound in of_size)
        z, u = torch.zeros_like(crystals.k), torch.zeros_like(crystals.u)
        cell = torch.zeros_like(crystals.k[:, :1], dtype=torch.bool)
        orbit = torch.zeros_like(crystals.u[:, :1], dtype=torch.bool)
        for known in given:
            own = scale.standardise(dataclasses.replace(crystals, k=known.k.to(crystals.k.dtype)))
            z, cell = torch.where(known.cell[:, None], own, z), cell | known.cell[:, None]
            here = known.orbit[sequences.mask][:, None]
            position = known.position[sequences.mask].to(u.dtype)
            coordinates = symmetry_tables(u.device).free_coordinates(position, crystals.wyckoff)
            u, orbit = torch.where(here, coordinates, u), orbit | here
        return cls(low, high, z, cell, u, orbit)

    def take(self, rows: Tensor, orbits: Tensor) -> AskedGeometry:
        """Requirements for the crystals `rows`, which have the orbits `orbits`."""
        return AskedGeometry(
            self.low[rows], self.high[rows], self.z[rows], self.cell[rows], self.u[orbits], self.orbit[orbits]
        )

    def cells(self, z: Tensor, alpha_bar: Tensor, noise: Tensor) -> Tensor:
        """`z` (B, 6) with the given cells put in, at a noise level, by standard normal `noise` (B, 6)."""
        return torch.where(self.cell, alpha_bar.sqrt() * self.z + (1 - alpha_bar).sqrt() * noise, z)

    def coordinates(self, u: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
        """`u` (A, 3) with the given coordinates put in, at a noise level, by standard normal `noise` (A, 3)."""
        return torch.where(self.orbit, (self.u + sigma * noise) % 1.0, u)


def size_bounds(scale: LatticeScale, crystals: FlatCrystals, volumes: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Bounds (B,) of the standardised size, double, of bounds of the volume of conventional cells, Å³."""
    family = symmetry_tables(crystals.k.device).family[crystals.space_group - 1]
    centre = (scale.size(crystals) + scale.mean[family, SIZE]).double()
    spread = scale.std[family, SIZE].double()
    low, high = volumes[0] * (1 + LEAST_WIDTH), volumes[1] * (1 - LEAST_WIDTH)
    return (low.log() / 3 - centre) / spread, (high.log() / 3 - centre) / spread


def log_share(scale: LatticeScale, crystals: FlatCrystals, volumes: tuple[Tensor, Tensor]) -> Tensor:
    """Logarithm (B,) of the share of cells of each family and composition that lie within bounds of the volume.

    -inf if all of these are further than `FARTHEST` from the mean, where no geometry is made.
    """
    low, high = size_bounds(scale, crystals, volumes)
    inside = (low < FARTHEST) & (high > -FARTHEST) & (low < high)
    low, high = (bound.clamp(-FARTHEST, FARTHEST) for bound in (low, high))
    turned = low + high > 0  # in the lower tail, where nothing cancels
    low, high = torch.where(turned, -high, low), torch.where(turned, -low, high)
    share = torch.special.ndtr(high) - torch.special.ndtr(low)
    return torch.where(inside, share.log(), -torch.inf).float()
