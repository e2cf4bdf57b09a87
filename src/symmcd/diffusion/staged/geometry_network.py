"""Denoiser of k and free coordinates when Wyckoff positions and elements are known.

Messages between all pairs of orbits carry the surroundings of `environment`: the input consists of distances and
directions to every image of every orbit, and the output is built from the same directions.  The displacement of a
representative is a sum over its neighbours of direction times a learnt function, plus the vectors that the layers have
gathered (see `geometry_layer`).  The output for k contains the corresponding virial.  So the output is the same when
the crystal is rotated, shifted, or described by other representatives or in an equivalent setting, and a site keeps its
symmetry.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from symmcd.crystallography.space_group import space_group_codes
from symmcd.diffusion.data_statistics import AXES, CLASSES
from symmcd.diffusion.denoiser import AXIS_FEATURES, GROUP_WIDTH, mlp, time_features
from symmcd.diffusion.staged.element_embedding import ElementEmbedding
from symmcd.diffusion.staged.environment import RADIAL, Environment, OrbitPairs
from symmcd.diffusion.staged.flat_crystals import FlatCrystals
from symmcd.diffusion.staged.geometry_layer import (
    CHANNELS,
    ORBITS_TO,
    GeometryLayer,
    OrbitFeatures,
    Surroundings,
    applied,
)
from symmcd.diffusion.staged.kind import StagedSettings
from symmcd.diffusion.staged.row_sums import RowSums
from symmcd.diffusion.staged.symmetry_tables import constant, symmetry_tables

VIRIAL_START = 0.05
MATRIX = (0, 3, 4, 3, 1, 5, 4, 5, 2)  # places in a 3 × 3 matrix of xx, yy, zz, xy, xz, yz
STEER = 0.1  # scale of an orbit's own vectors and tensors in the answer


@dataclass(frozen=True)
class GeometryPrediction:
    """Output of the network for a noisy geometry, in float32."""

    lattice_noise: Tensor  # (B, 6) ε̂ of z
    score: Tensor  # (A, 3) score over its root mean square in the free coordinates, 0 where they are fixed


class GeometryNetwork(nn.Module):
    """Message passing over orbits with moments of their images."""

    def __init__(self, settings: StagedSettings) -> None:
        super().__init__()
        width, self.settings = settings.width, settings
        self.element = ElementEmbedding(width)
        self.axis = nn.Embedding(CLASSES, AXIS_FEATURES)
        self.site = mlp(AXES * AXIS_FEATURES + 1, width, width)
        self.space_group = mlp(space_group_codes().shape[1], GROUP_WIDTH, width)
        self.crystal = mlp(6 + 3 + settings.time_features, width, width)
        self.composition = mlp(width, width, width)
        self.layers = nn.ModuleList(GeometryLayer(width, first=not index) for index in range(settings.layers))
        self.displacement, self.steer = nn.Linear(width, RADIAL), nn.Linear(width, 2 * CHANNELS)
        self.virial, self.stretch = nn.Linear(width, RADIAL), nn.Linear(width, CHANNELS)
        self.norm = nn.LayerNorm(width)
        self.lattice = mlp(width, width, 12)
        for parameter in (*self.displacement.parameters(), self.virial.bias, *self.lattice[-1].parameters()):
            nn.init.zeros_(parameter)
        nn.init.normal_(self.virial.weight, std=VIRIAL_START)

    def forward(
        self, crystals: FlatCrystals, pairs: OrbitPairs, around: Environment, z: Tensor, time: Tensor
    ) -> GeometryPrediction:
        """Prediction for crystals whose lattice is z (B, 6) at `time` (B,) in 1 … T, surroundings as in `around`."""
        tables = symmetry_tables(z.device)
        crystal, wyckoff, atoms = crystals.crystal, crystals.wyckoff, crystals.atoms
        multiplicity = tables.multiplicity[wyckoff].to(z.dtype)[:, None]
        share = multiplicity / atoms[crystal, None]
        sizes = torch.stack([around.spacing.log(), atoms.log() / 3, crystals.count / 5], dim=1)
        fraction = time_features(time / self.settings.steps, self.settings.time_features)
        whole = _rows(self.crystal, torch.cat([z, sizes, fraction], dim=1))
        whole = whole + _rows(self.space_group, tables.codes[crystals.space_group - 1])
        site = torch.cat([self.axis(tables.site_symmetry[wyckoff]).flatten(1), multiplicity.log()], dim=1)
        element = self.element()[crystals.element]
        whole = whole + _rows(self.composition, _mean_over_atoms(element, share, crystals))
        h = element + _rows(self.site, site) + whole[crystal]
        surroundings = Surroundings.of(pairs, around, len(h))
        known = OrbitFeatures.first(h, surroundings.to_receivers.size)
        message = h
        for layer in self.layers:
            known, message = layer(known, surroundings)
        message, h = message[: len(pairs.i)], known.h[: len(crystal)]

        pooled = _mean_over_atoms(h.float(), share, crystals)
        direct, factor = _rows(self.lattice, self.norm(pooled)).float().chunk(2, dim=1)
        push, pull = _rows(self.displacement, message).float(), _rows(self.virial, message).float()
        steer, stretch = STEER * _rows(self.steer, h).float(), STEER * _rows(self.stretch, h).float()
        to_receivers = RowSums.of(pairs.i, len(h))
        with torch.autocast(z.device.type, enabled=False):
            vectors, tensors = known.vectors[: len(h)], known.tensors[: len(h)]
            own = (steer[:, None] * torch.cat([vectors, applied(tensors, vectors)], dim=2)).sum(dim=2)
            force = to_receivers.of_rows((push[:, None] * surroundings.direct[: len(push)]).sum(dim=2), onto=own)
            own = (stretch[:, None] * tensors).sum(dim=2)
            stress = to_receivers.of_rows((pull[:, None] * surroundings.tensor[: len(pull)]).sum(dim=2), onto=own)
            virial = _in_basis(_mean_over_atoms(stress, share, crystals))
            score = _fractional(force, around, crystals)
        return GeometryPrediction(direct + (1 + factor) * virial, torch.where(tables.free[wyckoff], score, 0.0))


def _rows(module: nn.Module, rows: Tensor) -> Tensor:
    """Apply `module` to each row (R, F), with zero rows added up to a multiple of `ORBITS_TO`.

    Libraries use other kernels for products of few rows and round differently.  Over two hundred steps of sampling a
    last digit becomes a different crystal.  Padding keeps a crystal independent of the others sampled with it.
    """
    added = -len(rows) % ORBITS_TO
    return module(pad(rows, (0, 0, 0, added)))[: len(rows)]


def _mean_over_atoms(values: Tensor, share: Tensor, crystals: FlatCrystals) -> Tensor:
    """(B, F) means of (A, F), orbits counted with their `share` (A, 1) of the atoms."""
    return crystals.sums.of_rows(values * share)


def _fractional(force: Tensor, around: Environment, crystals: FlatCrystals) -> Tensor:
    """Displacements (A, 3) from Å to fractions of the edges, the size of the cell divided out."""
    # a power in single precision rounds otherwise in other numbers of crystals
    size = around.spacing * (crystals.atoms.double() ** (1 / 3)).to(around.spacing.dtype)
    to_fractional = around.inverse * size[:, None, None]
    return (force[:, :, None] * to_fractional[crystals.crystal]).sum(dim=1)


def _in_basis(stress: Tensor) -> Tensor:
    """Symmetric tensors (B, 6), xx, yy, zz, xy, xz, yz, in the basis of k."""
    tensor = stress.index_select(1, constant(MATRIX, stress.device, torch.int64)).view(-1, 3, 3)
    return (tensor[:, None] * symmetry_tables(stress.device).basis).sum(dim=(2, 3))
