"""One round of messages between orbits: its input from the surroundings, and the state of every orbit.

For each orbit the network keeps numbers, vectors and symmetric tensors.  Messages depend on the angles between an
orbit's vectors and the direction to the other orbit, seen from both ends; the sender's vectors are rotated with its
images.  So everything here rotates with the crystal and keeps a site's symmetry.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, silu

from symmcd.diffusion.staged.environment import RADIAL, WINDOWS, Environment, OrbitPairs
from symmcd.diffusion.staged.row_sums import RowSums
from symmcd.diffusion.staged.symmetry_tables import constant

CHANNELS = 16  # vectors and tensors of an orbit
NEIGHBOURS = 0.3  # scale of a sum over orbits, of which there are about five
PAIRS_TO, ORBITS_TO = 256, 32  # numbers of rows are multiples of these
DIRECT = slice(1, 4)  # components of the moments: û
TENSOR = slice(4, 10)  # û ⊗ û: xx, yy, zz, xy, xz, yz
TWICE = (1.0, 1.0, 1.0, 2.0, 2.0, 2.0)  # how often each stands in a symmetric matrix


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Environment by component, contiguous with the Gaussians last: one product of matrices a layer, not P small ones.

    Numbers of rows are padded so that few occur.  Every new shape costs the making of its matrix products anew: in
    training, where no two batches have as many pairs, a sixth of the time on a CPU.  What is added are pairs of an
    orbit that is added too, so nothing else hears of them.
    """

    i: Tensor  # (P',) orbit that receives
    to_receivers: RowSums  # sums over pairs, for A' orbits, at least one more than A
    j: Tensor  # (P',) orbit that sends
    reverse: Tensor  # (P',) row of the pair (j, i)
    scalar: Tensor  # (P', RADIAL)
    direct: Tensor  # (P', 3, RADIAL)
    tensor: Tensor  # (P', 6, RADIAL)
    turns: Tensor  # (P', 3, 3, windows)

    @classmethod
    def of(cls, pairs: OrbitPairs, around: Environment, orbits: int) -> Surroundings:
        """Surroundings for all pairs of `orbits` orbits."""
        added = -len(pairs.i) % PAIRS_TO
        last = len(pairs.i) + torch.arange(added, device=pairs.i.device)
        moments = pad(around.moments, (0, 0, 0, 0, 0, added))
        scalar, direct, tensor = (moments[:, part].contiguous() for part in (0, DIRECT, TENSOR))
        i = pad(pairs.i, (0, added), value=orbits)
        return cls(
            i=i,
            to_receivers=RowSums.of(i, orbits + ORBITS_TO - orbits % ORBITS_TO),
            j=pad(pairs.j, (0, added), value=orbits),
            reverse=torch.cat([pairs.reverse, last]),
            scalar=scalar,
            direct=direct,
            tensor=tensor,
            turns=pad(around.turns, (0, 0, 0, 0, 0, 0, 0, added)),
        )


@dataclass(frozen=True, eq=False)
class OrbitFeatures:
    """State of the network for every orbit; vectors and tensors in float32."""

    h: Tensor  # (A', width)
    vectors: Tensor  # (A', 3, CHANNELS) Cartesian
    tensors: Tensor  # (A', 6, CHANNELS) xx, yy, zz, xy, xz, yz

    @classmethod
    def first(cls, h: Tensor, orbits: int) -> OrbitFeatures:
        """h (A, width), padded to A' `orbits`, and neither vectors nor tensors yet."""
        return cls(
            pad(h, (0, 0, 0, orbits - len(h))),
            torch.zeros(orbits, 3, CHANNELS, device=h.device),
            torch.zeros(orbits, 6, CHANNELS, device=h.device),
        )


def contracted(a: Tensor, b: Tensor) -> Tensor:
    """Σ_xy a_xy b_xy of symmetric tensors (…, 6, C) → (…, C)."""
    return (a * b * constant(TWICE, a.device)[:, None]).sum(dim=-2)


def applied(tensors: Tensor, vectors: Tensor) -> Tensor:
    """Each symmetric tensor (…, 6, C) times its vector (…, 3, C)."""
    xx, yy, zz, xy, xz, yz = tensors.unbind(dim=-2)
    x, y, z = vectors.unbind(dim=-2)
    return torch.stack([xx * x + xy * y + xz * z, xy * x + yy * y + yz * z, xz * x + yz * y + zz * z], dim=-2)


def tamed(invariants: Tensor) -> Tensor:
    """Sign times log(1 + size): products of sums over neighbours have long tails."""
    return invariants.sign() * invariants.abs().log1p()


class GeometryLayer(nn.Module):
    """h_i ← h_i + φ(h_i, Σ_j m_ij, invariants of v_i and t_i), with vectors and tensors summed from gated moments."""

    def __init__(self, width: int, *, first: bool) -> None:
        super().__init__()
        self.first = first
        self.norm = nn.LayerNorm(width)
        self.receiver = nn.Linear(width, width)
        self.sender = nn.Linear(width, width, bias=False)
        self.distances = nn.Linear(RADIAL, width, bias=False)
        self.message = nn.Linear(width, width)
        self.gates = nn.Linear(width, 2 * CHANNELS)
        self.vectors = nn.Linear(RADIAL, CHANNELS, bias=False)
        self.tensors = nn.Linear(RADIAL, CHANNELS, bias=False)
        self.update = nn.Linear(2 * width + 4 * CHANNELS, width)
        self.update_out = nn.Linear(width, width)
        if not first:  # before the first layer there are neither vectors nor tensors
            self.angles = nn.Linear(4 * CHANNELS, width, bias=False)
            self.turn = nn.Linear(len(WINDOWS), CHANNELS, bias=False)
            self.twist = nn.Linear(CHANNELS, width, bias=False)
            self.turn_gate = nn.Linear(width, CHANNELS)

    def forward(self, known: OrbitFeatures, around: Surroundings) -> tuple[OrbitFeatures, Tensor]:
        """Compute the next state, and the messages (P', width)."""
        n, i = self.norm(known.h), around.i
        direct, tensor = self.vectors(around.direct).float(), self.tensors(around.tensor).float()
        message = self.distances(around.scalar)
        message = message.add_(self.receiver(n).index_select(0, i)).add_(self.sender(n).index_select(0, around.j))
        turned = None
        if not self.first:
            vectors = known.vectors.index_select(0, i)
            angles = [(vectors * direct).sum(dim=1), contracted(known.tensors.index_select(0, i), tensor)]
            seen = torch.cat(angles, dim=1)
            message = message + self.angles(tamed(torch.cat([seen, seen.index_select(0, around.reverse)], dim=1)))
            turned = (self.turn(around.turns).float() * known.vectors.index_select(0, around.j)[:, :, None]).sum(dim=1)
            message = message + self.twist(tamed((vectors * turned).sum(dim=1)))
        message = silu(self.message(silu(message)))

        vector_gate, tensor_gate = self.gates(message).float()[:, None].chunk(2, dim=-1)
        gathered, tensor = direct * vector_gate, tensor * tensor_gate  # (P', 3, CHANNELS), (P', 6, CHANNELS)
        if turned is not None:
            gathered = gathered + turned * self.turn_gate(message).float()[:, None]
        received = around.to_receivers.of_rows(message) * NEIGHBOURS
        v = around.to_receivers.of_rows(gathered, onto=known.vectors)
        t = around.to_receivers.of_rows(tensor, onto=known.tensors)
        tv = applied(t, v)
        invariants = tamed(torch.cat([(v**2).sum(1), contracted(t, t), (tv**2).sum(1), (tv * v).sum(1)], dim=1))
        update = silu(self.update(torch.cat([n, received, invariants.to(n.dtype)], dim=1)))
        return OrbitFeatures(known.h + self.update_out(update), v, t), message
