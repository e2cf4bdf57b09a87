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
from symmcd.diffusion.staged.element_embedding import ElementEmbedding
from symmcd.diffusion.staged.environment import RADIAL, Environment, OrbitPairs
from symmcd.diffusion.staged.flat_crystals import FlatCrystals
from symmcd.diffusion.staged.tables import symmetry_tables
from symmcd.settings import ModelSettings

ANGULAR = 3
COMP = 1
NODE = 0
TURN = 1
PRODUCTS = 2
CARRY = 0
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
    turns: Tensor

    @classmethod
    def of(cls, around: Environment, rows: int) -> Surroundings:
        """Of all pairs, and nothing around the rest of `rows`."""
        moments = pad(around.moments, (0, 0, 0, 0, 0, rows - len(around.moments)))
        return cls(*(moments[:, part].contiguous() for part in (0, DIRECT, TENSOR)), pad(around.turns, (0, 0, 0, 0, 0, rows - len(around.moments))))

    def first(self, rows: int) -> Surroundings:
        """The first `rows` of them."""
        return Surroundings(self.scalar[:rows], self.direct[:rows], self.tensor[:rows], self.turns[:rows])


@dataclass(frozen=True, eq=False)
class Ends:
    """Receiver and sender of every pair, padded so that few numbers of rows occur.

    Every new shape costs the making of its matrix products anew: in training, where no two batches have as many pairs,
    a sixth of the time on a CPU.  What is added are pairs of an orbit that is added too, so nothing else hears of them.
    """

    i: Tensor  # (P',)
    j: Tensor  # (P',)
    orbits: int  # A', one more than A at least
    reverse: Tensor  # (P',) row of the pair (j, i)

    @classmethod
    def of(cls, pairs: OrbitPairs, orbits: int) -> Ends:
        """Of the pairs of `orbits` orbits."""
        added = -len(pairs.i) % PAIRS_TO
        i, j = (pad(end, (0, added), value=orbits) for end in (pairs.i, pairs.j))
        order = torch.argsort(pairs.j * (orbits + 1) + pairs.i)
        rev = torch.argsort(pairs.i * (orbits + 1) + pairs.j)  # identity
        reverse = torch.empty_like(order)
        reverse[rev] = order
        reverse = torch.cat([reverse, torch.arange(len(reverse), len(reverse) + added, device=i.device)])
        return cls(i, j, orbits + ORBITS_TO - orbits % ORBITS_TO, reverse)


class GeometryNetwork(nn.Module):
    """Message passing over orbits with moments of their images."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        width, self.settings = settings.width, settings
        self.element = ElementEmbedding(width)
        self.axis = nn.Embedding(CLASSES, AXIS_FEATURES)
        self.site = mlp(AXES * AXIS_FEATURES + 1, width, width)
        self.space_group = mlp(space_group_codes().shape[1], GROUP_WIDTH, width)
        self.crystal = mlp(6 + 3 + settings.time_features, width, width)
        if NODE:
            self.tell = mlp(2 * width, width, width)
        if COMP:
            self.comp = mlp(width, width, width)
        self.layers = nn.ModuleList(GeometryLayer(width) for _ in range(settings.layers))
        self.displacement = nn.Linear(width, RADIAL)
        self.virial = nn.Linear(width, RADIAL)
        if PRODUCTS > 1:
            self.steer = nn.Linear(width, 2 * CHANNELS)
            self.stretch = nn.Linear(width, CHANNELS)
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
        elements = self.element()[crystals.element]
        if COMP:
            composition = torch.zeros(len(crystals), elements.shape[1], device=z.device).index_add(0, crystal, elements * share)
            whole = whole + self.comp(composition)
        h = elements + self.site(site) + whole[crystal]
        message = h
        ends = Ends.of(pairs, len(h))
        surroundings = Surroundings.of(around, len(ends.i))
        h = pad(h, (0, 0, 0, ends.orbits - len(h)))
        v = t = None
        for layer in self.layers:
            if NODE and v is not None:
                pooled = torch.zeros(len(crystals), h.shape[1], device=z.device).index_add(0, crystal, h[: len(crystal)] * share)
                told = self.tell(torch.cat([pooled, whole], dim=1))
                h = h + pad(told[crystal], (0, 0, 0, len(h) - len(crystal)))
            h, v, t, message = layer(h, v, t, message if v is not None else None, surroundings, ends)
        h, message, surroundings = h[: len(crystal)], message[: len(pairs.i)], surroundings.first(len(pairs.i))

        steer = stretch = None
        if PRODUCTS > 1:
            tv = self.layers[-1].tv
            steer = (self.steer(h).float()[:, None] * torch.cat([v, tv], dim=2)[: len(h)]).sum(2) * 0.1
            stretch = (self.stretch(h).float()[:, None] * t[: len(h)]).sum(2) * 0.1
        pooled = torch.zeros(len(crystals), h.shape[1], device=z.device).index_add(0, crystal, h.float() * share)
        direct, factor = self.lattice(self.norm(pooled)).float().chunk(2, dim=1)
        push, pull = self.displacement(message).float(), self.virial(message).float()
        with torch.autocast(z.device.type, enabled=False):
            virial = self._virial(pull, surroundings, share, crystals, pairs, stretch)
            score = self._displacement(push, surroundings, around, crystals, pairs, steer)
        return GeometryPrediction(direct + (1 + factor) * virial, torch.where(tables.free[wyckoff], score, 0.0))

    def _displacement(
        self, push: Tensor, surroundings: Surroundings, around: Environment, crystals: FlatCrystals, pairs: OrbitPairs, steer=None
    ) -> Tensor:
        """Σ_j Σ_r push_ij[r] m_ij[r] (A, 3), from Å to fractions of the edges, the size of the cell divided out."""
        force = (push[:, None] * surroundings.direct).sum(dim=2)
        force = torch.zeros(len(crystals.element), 3, device=push.device).index_add(0, pairs.i, force)
        if steer is not None:
            force = force + steer
        size = around.spacing * crystals.atoms ** (1 / 3)
        to_fractional = torch.linalg.inv(around.cell) * size[:, None, None]
        return (force[:, None] @ to_fractional[crystals.crystal])[:, 0]

    def _virial(
        self, pull: Tensor, surroundings: Surroundings, share: Tensor, crystals: FlatCrystals, pairs: OrbitPairs, stretch=None
    ) -> Tensor:
        """Mean over atoms of Σ_j Σ_r pull_ij[r] (û ⊗ û)_ij[r], in the basis of k, (B, 6)."""
        parts = (pull[:, None] * surroundings.tensor).sum(dim=2) * share[pairs.i]
        summed = torch.zeros(len(crystals), 6, device=pull.device)
        summed = summed.index_add(0, crystals.crystal[pairs.i], parts)
        if stretch is not None:
            summed = summed.index_add(0, crystals.crystal, stretch * share)
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
        self.update = nn.Linear(2 * width + (4 if PRODUCTS else 2) * CHANNELS, width)
        self.update_out = nn.Linear(width, width)
        if TURN:
            self.turn = nn.Linear(3, CHANNELS, bias=False)
            self.twist = nn.Linear(CHANNELS, width, bias=False)
            self.turn_gate = nn.Linear(width, CHANNELS)
        if ANGULAR:
            self.angles = nn.Linear((4 if ANGULAR > 1 else 2) * CHANNELS, width, bias=False)

    def forward(self, h, v0, t0, before, surroundings: Surroundings, ends: Ends):
        """New h (A', width) and the messages (P', width)."""
        n, i = self.norm(h), ends.i
        message = self.distances(surroundings.scalar)
        message = message.add_(self.receiver(n).index_select(0, i)).add_(self.sender(n).index_select(0, ends.j))
        direct, tensor = self.vectors(surroundings.direct).float(), self.tensors(surroundings.tensor).float()
        if ANGULAR and v0 is not None:
            weight = direct.new_tensor([1, 1, 1, 2, 2, 2])[None, :, None]
            angles = torch.cat([(v0.index_select(0, i) * direct).sum(1), (t0.index_select(0, i) * tensor * weight).sum(1)], dim=1)
            if ANGULAR > 1:
                angles = torch.cat([angles, angles.index_select(0, ends.reverse)], dim=1)
            angles = angles.sign() * angles.abs().log1p() if ANGULAR > 2 else angles
            message = message + self.angles(angles)
        if TURN and v0 is not None:
            turned = self.turn(surroundings.turns).unflatten(1, (3, 3))  # (P, from, to, C)
            turned = (turned * v0.index_select(0, ends.j)[:, :, None]).sum(1)
            twist = (v0.index_select(0, i) * turned).sum(1)
            message = message + self.twist(twist.sign() * twist.abs().log1p())
        if CARRY and before is not None:
            message = message + before
        message = silu(self.message(silu(message)))
        vector_gate, tensor_gate = self.gates(message).float()[:, None].chunk(2, dim=-1)
        vectors = direct * vector_gate  # (P, 3, CHANNELS)
        if TURN and v0 is not None:
            vectors = vectors + turned * self.turn_gate(message).float()[:, None]
        tensors = tensor * tensor_gate
        zero = torch.zeros_like
        received = zero(h, dtype=message.dtype).index_add(0, i, message) * NEIGHBOURS
        v = vectors.new_zeros(len(h), *vectors.shape[1:]).index_add(0, i, vectors)
        t = tensors.new_zeros(len(h), *tensors.shape[1:]).index_add(0, i, tensors)
        if ANGULAR and v0 is not None:
            v, t = v + v0, t + t0
        parts = [(v**2).sum(1), (t[:, :3] ** 2).sum(1) + 2 * (t[:, 3:] ** 2).sum(1)]
        if PRODUCTS:
            x, y, z, xx, yy, zz, xy, xz, yz = *v.unbind(1), *t.unbind(1)
            tv = torch.stack([xx * x + xy * y + xz * z, xy * x + yy * y + yz * z, xz * x + yz * y + zz * z], dim=1)
            parts += [(tv**2).sum(1), (tv * v).sum(1)]
            self.tv = tv
        invariants = torch.cat(parts, dim=1)
        invariants = invariants.sign() * invariants.abs().log1p()
        update = silu(self.update(torch.cat([n, received, invariants.to(n.dtype)], dim=1)))
        return h + self.update_out(update), v, t, message
