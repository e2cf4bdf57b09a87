"""Surroundings of every orbit, including all images: moments of the atoms of orbit j around the representative i.

For each ordered pair of orbits (i, j) of a crystal, the images of j (all members of its orbit in all nearby cells)
within a cutoff of representative i are summed into

    m_ij[r] = Σ_images R_r(d) (1, û, û ⊗ û),       d Å away in the direction û,

with Gaussians R_r in the distance, and into

    Q_ij[w] = Σ_images W_w(d) R_image,                R_image the rotation that maps the representative j to this image,

with three windows W_w.  A vector at representative j points in another direction at each of its images, so a message
about it has to be rotated with them.  A network on differences of representatives cannot see an atom that is too close
to its own mirror image, or a neighbour in another cell; the moments contain both.  They rotate with the crystal and do
not depend on the origin or on the choice of representatives, and they have the symmetry of the site.  Nothing here has
gradients: coordinates are inputs of the denoiser, not its parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from symmcd.diffusion.staged.flat_crystals import FlatCrystals, members_of
from symmcd.diffusion.staged.row_sums import RowSums
from symmcd.diffusion.staged.symmetry_tables import constant, symmetry_tables

SQUARES = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))  # axes of xx, yy, zz, xy, xz, yz
COMPONENTS = 10  # 1, x, y, z, xx, yy, zz, xy, xz, yz
RADIAL = 16  # Gaussians
REACH = 7.0  # Å, centre of the last one
WINDOWS = (0.7, 1.2, 1.7)  # centres of W, in units of (volume per atom)^(1/3)
WINDOW_WIDTH = 0.3
CUTOFF = 2.2  # in units of (volume per atom)^(1/3): about 45 neighbours whatever the density
CELLS = 1  # to each side of the nearest one in which images are looked for


@dataclass(frozen=True, eq=False)
class OrbitPairs:
    """Ordered pairs of orbits of the same crystal, and the orbit members that they stand for."""

    i: Tensor  # (P,) orbit that receives
    j: Tensor  # (P,) orbit that sends
    pair: Tensor  # (M,) pair of each member of an orbit j
    operation: Tensor  # (M,) row of the operation that makes this member
    is_self: Tensor  # (M,) the representative itself, as seen from itself
    reverse: Tensor  # (P,) row of the pair (j, i)

    @classmethod
    def of(cls, crystals: FlatCrystals) -> OrbitPairs:
        """All pairs, i = j among them."""
        tables = symmetry_tables(crystals.k.device)
        i, j = members_of(crystals.start, crystals.crystal)
        pair, operation = members_of(tables.operation_start, crystals.wyckoff[j])
        first = operation == tables.operation_start[crystals.wyckoff[j]][pair]  # the identity comes first
        reverse = torch.argsort(j * len(crystals.wyckoff) + i)  # pairs are sorted by i, then j
        return cls(i, j, pair, operation, first & (i == j)[pair], reverse)


@dataclass(frozen=True, eq=False)
class Environment:
    """Input of the geometry network for a (noisy) geometry."""

    moments: Tensor  # (P, COMPONENTS, RADIAL)
    turns: Tensor  # (P, 3, 3, windows) of row vectors: v of representative j is v @ turn at an image
    cell: Tensor  # (B, 3, 3) rows a, b, c in Å, in the orientation exp(S) of `crystallography.lattice`
    inverse: Tensor  # (B, 3, 3) of `cell`
    spacing: Tensor  # (B,) (volume per atom)^(1/3), Å


@torch.no_grad()
def environment(crystals: FlatCrystals, pairs: OrbitPairs, k: Tensor, u: Tensor) -> Environment:
    """Moments of crystals with k (B, 6) and free coordinates u (A, 3).

    Images are looked for in the 27 cells around the nearest one.  That is all of them where the cutoff is at most one
    and a half times the distance of lattice planes; of smaller or flatter cells the outermost ones are left out.
    """
    tables = symmetry_tables(k.device)
    # in double precision, whose last digits depend on the size of the batch and are rounded away
    cell = torch.linalg.matrix_exp(torch.einsum("bi,ijk->bjk", k.double(), tables.basis.double()))
    inverse = torch.linalg.inv_ex(cell).inverse.to(k.dtype)
    cell, spacing = cell.to(k.dtype), (k[:, 5].double().exp() / crystals.atoms.double() ** (1 / 3)).to(k.dtype)
    side = torch.arange(-CELLS, CELLS + 1, device=k.device, dtype=k.dtype)
    shifts = torch.cartesian_prod(side, side, side) @ cell  # (B, 27, 3)

    x = tables.positions(u, crystals.wyckoff)
    receiver, sender = pairs.i[pairs.pair], pairs.j[pairs.pair]
    crystal = crystals.crystal[receiver]
    rotation = tables.rotation[pairs.operation]
    rotated = (rotation * x[sender][:, None]).sum(dim=2)  # products: a batch of 3 × 3 @ 3 is slow
    member = rotated + tables.translation[pairs.operation]
    difference = member - x[receiver]
    nearest = ((difference - difference.round())[:, :, None] * cell[crystal]).sum(dim=1)  # (M, 3) Å
    square = (  # square of |nearest + shift|, expanded so that no (M, 27, 3) array is made
        (nearest**2).sum(dim=1, keepdim=True)
        + sum(2 * nearest[:, axis, None] * shifts[:, :, axis][crystal] for axis in range(3))
        + (shifts**2).sum(dim=2)[crystal]
    )
    cutoff = CUTOFF * spacing[crystal]
    near = square < cutoff[:, None] ** 2
    near[:, shifts.shape[1] // 2] &= ~pairs.is_self  # an atom in its own cell
    member_index, shift_index = near.nonzero(as_tuple=True)

    vector = nearest[member_index] + shifts[crystal[member_index], shift_index]
    distance = vector.norm(dim=1, keepdim=True)
    direction = vector / (distance + 1e-6)
    envelope = (1 - (distance / cutoff[member_index, None]) ** 2).clamp_min(0) ** 2
    centres = torch.linspace(0.0, REACH, RADIAL, device=k.device)
    radial = torch.exp(-(((distance - centres) * (RADIAL - 1) / REACH) ** 2)) * envelope
    one, other = (constant(axes, k.device, torch.int64) for axes in zip(*SQUARES, strict=True))
    square_parts = direction.index_select(1, one) * direction.index_select(1, other)
    angular = torch.cat([torch.ones_like(distance), direction, square_parts], dim=1)
    terms = (angular[:, :, None] * radial[:, None]).flatten(1)  # the longer row innermost: twice as fast on a CPU
    of_pair = RowSums.of(pairs.pair[member_index], len(pairs.i))
    moments = of_pair.of_rows(terms)

    turn = inverse[crystal] @ rotation.transpose(1, 2) @ cell[crystal]
    centres = constant(WINDOWS, k.device)
    relative = distance / spacing[crystal[member_index], None]
    window = torch.exp(-(((relative - centres) / WINDOW_WIDTH) ** 2)) * envelope
    terms = (turn.flatten(1)[member_index][:, :, None] * window[:, None]).flatten(1)
    turns = of_pair.of_rows(terms)
    return Environment(moments.view(-1, COMPONENTS, RADIAL), turns.view(-1, 3, 3, len(WINDOWS)), cell, inverse, spacing)
