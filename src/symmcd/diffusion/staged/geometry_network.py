"""Denoiser of k and free coordinates when Wyckoff positions and elements are known.

Messages between all pairs of orbits carry the surroundings of `environment`: what the network sees are distances and
directions to every image of every orbit, and what it answers is built from the same directions.  The displacement of a
representative is a sum over its neighbours of direction times a learnt function, the answer for k contains the
corresponding virial: turned, shifted, with other representatives or in an equivalent setting, the same crystal gets the
same answer, and a site keeps its symmetry.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, silu

from symmcd.crystallography.space_group import space_group_codes
from symmcd.diffusion.data_statistics import AXES, CLASSES, ELEMENTS
from symmcd.diffusion.denoiser import AXIS_FEATURES, GROUP_WIDTH, mlp, time_features
from symmcd.diffusion.staged.environment import RADIAL, Environment, OrbitPairs
from symmcd.diffusion.staged.flat_crystals import FlatCrystals
from symmcd.diffusion.staged.tables import symmetry_tables
from symmcd.settings import ModelSettings

CHANNELS = 16  # vectors and tensors that each layer makes of the surroundings of an orbit
NEIGHBOURS = 0.3  # scale of a sum over orbits, of which there are about five
VIRIAL_START = 0.05
PAIRS_TO, ORBITS_TO = 256, 32  # numbers of rows are multiples of these
DIRECT = slice(1, 4)  # components of the moments: û
TENSOR = slice(4, 10)  # û ⊗ û: xx, yy, zz, xy, xz, yz


@dataclass(frozen=True)
class GeometryPrediction:
    """What the network says of a noisy geometry, in float32."""

    lattice_noise: Tensor  # (B, 6) ε̂ of z
    score: Tensor  # (A, 3) score over its root mean square in the free coordinates, 0 where they are fixed


@dataclass(frozen=True)
class Surroundings:
    """Moments by component, contiguous with the Gaussians last: one product of matrices a layer, not P small ones."""

    scalar: Tensor  # (P, RADIAL)
    direct: Tensor  # (P, 3, RADIAL)
    tensor: Tensor  # (P, 6, RADIAL)

    @classmethod
    def of(cls, around: Environment, rows: int) -> Surroundings:
        """Of all pairs, and nothing around the rest of `rows`."""
        moments = pad(around.moments, (0, 0, 0, 0, 0, rows - len(around.moments)))
        return cls(*(moments[:, part].contiguous() for part in (0, DIRECT, TENSOR)))

    def first(self, rows: int) -> Surroundings:
        """The first `rows` of them."""
        return Surroundings(self.scalar[:rows], self.direct[:rows], self.tensor[:rows])


@dataclass(frozen=True, eq=False)
class Ends:
    """Receiver and sender of every pair, padded so that few numbers of rows occur.

    Every new shape costs the making of its matrix products anew: in training, where no two batches have as many pairs,
    a sixth of the time on a CPU.  What is added are pairs of an orbit that is added too, so nothing else hears of them.
    """

    i: Tensor  # (P',)
    j: Tensor  # (P',)
    orbits: int  # A', one more than A at least

    @classmethod
    def of(cls, pairs: OrbitPairs, orbits: int) -> Ends:
        """Of the pairs of `orbits` orbits."""
        added = -len(pairs.i) % PAIRS_TO
        i, j = (pad(end, (0, added), value=orbits) for end in (pairs.i, pairs.j))
        return cls(i, j, orbits + ORBITS_TO - orbits % ORBITS_TO)


class GeometryNetwork(nn.Module):
    """Message passing over orbits with moments of their images."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        width, self.settings = settings.width, settings
        self.element = nn.Embedding(ELEMENTS + 1, width)
        self.axis = nn.Embedding(CLASSES, AXIS_FEATURES)
        self.site = mlp(AXES * AXIS_FEATURES + 1, width, width)
        self.space_group = mlp(space_group_codes().shape[1], GROUP_WIDTH, width)
        self.crystal = mlp(6 + 3 + settings.time_features, width, width)
        self.layers = nn.ModuleList(GeometryLayer(width) for _ in range(settings.layers))
        self.displacement = nn.Linear(width, RADIAL)
        self.virial = nn.Linear(width, RADIAL)
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
        whole = self.crystal(torch.cat([z, sizes, fraction], dim=1)) + self.space_group(
            tables.codes[crystals.space_group - 1]
        )
        site = torch.cat([self.axis(tables.site_symmetry[wyckoff]).flatten(1), multiplicity.log()], dim=1)
        h = self.element(crystals.element) + self.site(site) + whole[crystal]
        message = h
        ends = Ends.of(pairs, len(h))
        surroundings = Surroundings.of(around, len(ends.i))
        h = pad(h, (0, 0, 0, ends.orbits - len(h)))
        for layer in self.layers:
            h, message = layer(h, surroundings, ends)
        h, message, surroundings = h[: len(crystal)], message[: len(pairs.i)], surroundings.first(len(pairs.i))

        pooled = torch.zeros(len(crystals), h.shape[1], device=z.device).index_add(0, crystal, h.float() * share)
        direct, factor = self.lattice(self.norm(pooled)).float().chunk(2, dim=1)
        push, pull = self.displacement(message).float(), self.virial(message).float()
        with torch.autocast(z.device.type, enabled=False):
            virial = self._virial(pull, surroundings, share, crystals, pairs)
            score = self._displacement(push, surroundings, around, crystals, pairs)
        return GeometryPrediction(direct + (1 + factor) * virial, torch.where(tables.free[wyckoff], score, 0.0))

    def _displacement(
        self, push: Tensor, surroundings: Surroundings, around: Environment, crystals: FlatCrystals, pairs: OrbitPairs
    ) -> Tensor:
        """Σ_j Σ_r push_ij[r] m_ij[r] (A, 3), from Å to fractions of the edges, the size of the cell divided out."""
        force = (push[:, None] * surroundings.direct).sum(dim=2)
        force = torch.zeros(len(crystals.element), 3, device=push.device).index_add(0, pairs.i, force)
        size = around.spacing * crystals.atoms ** (1 / 3)
        to_fractional = torch.linalg.inv(around.cell) * size[:, None, None]
        return (force[:, None] @ to_fractional[crystals.crystal])[:, 0]

    def _virial(
        self, pull: Tensor, surroundings: Surroundings, share: Tensor, crystals: FlatCrystals, pairs: OrbitPairs
    ) -> Tensor:
        """Mean over atoms of Σ_j Σ_r pull_ij[r] (û ⊗ û)_ij[r], in the basis of k, (B, 6)."""
        parts = (pull[:, None] * surroundings.tensor).sum(dim=2) * share[pairs.i]
        summed = torch.zeros(len(crystals), 6, device=pull.device)
        summed = summed.index_add(0, crystals.crystal[pairs.i], parts)
        tensor = summed[:, [0, 3, 4, 3, 1, 5, 4, 5, 2]].view(-1, 3, 3)
        return torch.einsum("bjk,ijk->bi", tensor, symmetry_tables(pull.device).basis)


class GeometryLayer(nn.Module):
    """h_i ← h_i + φ(h_i, Σ_j m_ij, |v_i|², |t_i|²), with vectors v_i and tensors t_i summed from gated moments."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.receiver = nn.Linear(width, width)
        self.sender = nn.Linear(width, width, bias=False)
        self.distances = nn.Linear(RADIAL, width, bias=False)
        self.message = nn.Linear(width, width)
        self.gates = nn.Linear(width, 2 * CHANNELS)
        self.vectors = nn.Linear(RADIAL, CHANNELS, bias=False)
        self.tensors = nn.Linear(RADIAL, CHANNELS, bias=False)
        self.update = nn.Linear(2 * width + 2 * CHANNELS, width)
        self.update_out = nn.Linear(width, width)

    def forward(self, h: Tensor, surroundings: Surroundings, ends: Ends) -> tuple[Tensor, Tensor]:
        """New h (A', width) and the messages (P', width)."""
        n, i = self.norm(h), ends.i
        message = self.distances(surroundings.scalar)
        message = message.add_(self.receiver(n).index_select(0, i)).add_(self.sender(n).index_select(0, ends.j))
        message = silu(self.message(silu(message)))
        vector_gate, tensor_gate = self.gates(message).float()[:, None].chunk(2, dim=-1)
        vectors = self.vectors(surroundings.direct).float() * vector_gate  # (P, 3, CHANNELS)
        tensors = self.tensors(surroundings.tensor).float() * tensor_gate
        zero = torch.zeros_like
        received = zero(h, dtype=message.dtype).index_add(0, i, message) * NEIGHBOURS
        v = vectors.new_zeros(len(h), *vectors.shape[1:]).index_add(0, i, vectors)
        t = tensors.new_zeros(len(h), *tensors.shape[1:]).index_add(0, i, tensors)
        invariants = torch.cat([(v**2).sum(1), (t[:, :3] ** 2).sum(1) + 2 * (t[:, 3:] ** 2).sum(1)], dim=1).log1p()
        update = silu(self.update(torch.cat([n, received, invariants.to(n.dtype)], dim=1)))
        return h + self.update_out(update), message
