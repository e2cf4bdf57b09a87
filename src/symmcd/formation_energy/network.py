"""DimeNet++ (Gasteiger et al. 2020, arXiv:2011.14115) for the energy per atom of crystals.

The blocks are torch-geometric's; what is ours is that edges stand for classes of equivalent ones, that nodes may know
their site symmetry, and that a crystal's energy is the mean over its nodes.  Weights have the names that CDVAE's have.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import silu
from torch_geometric.nn.models.dimenet import (
    BesselBasisLayer,
    EmbeddingBlock,
    Envelope,
    InteractionPPBlock,
    OutputPPBlock,
    SphericalBasisLayer,
)

from symmcd.crystallography.site_symmetry import SYMBOLS
from symmcd.crystallography.space_group import AXES
from symmcd.formation_energy.graphs import HEAVIEST, Graphs

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Size:
    """Sizes of the graph and the network; the defaults are CDVAE's for MP-20 (Xie et al., ICLR 2022)."""

    width: int = 128
    blocks: int = 4
    interaction_width: int = 64
    basis_width: int = 8
    output_width: int = 256
    spherical: int = 7  # Legendre polynomials
    radial: int = 6  # Bessel functions
    cutoff: float = 7.0  # Å
    neighbours: int = 20
    crystal_nn: bool = False  # edges are CrystalNN's bonds instead, as in CDVAE's predictor
    up_bias: bool = False  # a bias that torch-geometric's output blocks had then

    @property
    def nearest(self) -> int | None:
        """Argument `nearest` of `build_graphs`."""
        return None if self.crystal_nn else self.neighbours

    @classmethod
    def of(cls, settings: Any) -> Size:
        """The fields of the same name of any object, defaults for what it lacks."""
        names = [field.name for field in dataclasses.fields(cls) if hasattr(settings, field.name)]
        return cls(**{name: getattr(settings, name) for name in names})


class Embedding(EmbeddingBlock):
    """First messages: elements of both ends, to which their site symmetry may be added, and the distance."""

    def __init__(self, size: Size, site_symmetry: bool) -> None:
        super().__init__(size.radial, size.width, silu)
        self.site_symmetry: nn.EmbeddingBag | None = None
        if site_symmetry:  # the paper's 15 × 13 binary code times a matrix: one row an axis and symbol, added up
            self.site_symmetry = nn.EmbeddingBag(len(AXES) * len(SYMBOLS), size.width, mode="sum")
            nn.init.normal_(self.site_symmetry.weight, std=len(AXES) ** -0.5)
            self.register_buffer("first_row", torch.arange(len(AXES)) * len(SYMBOLS), persistent=False)

    def forward(self, graphs: Graphs, radial: Tensor) -> Tensor:
        """(E, width).  radial (E, radial)"""
        node = self.emb(graphs.element)
        if self.site_symmetry is not None:
            node = node + self.site_symmetry(graphs.site_symmetry + self.first_row)
        ends = node[graphs.centre], node[graphs.source], silu(self.lin_rbf(radial))
        return silu(self.lin(torch.cat(ends, dim=-1)))


@functools.cache
def closed_forms(spherical: int, radial: int) -> tuple[list[Function], list[Function]]:
    """Spherical Bessel functions of x and Legendre polynomials of an angle; sympy takes seconds to derive them."""
    layer = SphericalBasisLayer(spherical, radial)
    return layer.bessel_funcs, layer.sph_funcs


class AngularBasis(nn.Module):
    """Products of spherical Bessel functions of a length and Legendre polynomials of an angle."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.bessel, self.legendre = closed_forms(size.spherical, size.radial)
        self.envelope, self.cutoff = Envelope(5), size.cutoff

    def forward(self, length: Tensor, angle: Tensor, edge: Tensor) -> Tensor:
        """(T, spherical · radial).  length (E,) Å, angle (T,), edge (T,)"""
        # closed forms of high order cancel at short distance: double precision, where it costs little
        x = length.double() / self.cutoff
        radial = torch.stack([function(x) for function in self.bessel], dim=1) * self.envelope(x)[:, None]
        radial = radial.to(length.dtype).view(len(length), len(self.legendre), -1)
        angular = torch.stack([function(angle) for function in self.legendre], dim=1)
        return (radial[edge] * angular[:, :, None]).flatten(1)


class DimeNetPlusPlus(nn.Module):
    """Energy per atom, eV."""

    offset: Tensor  # (95,) eV, of each element
    scale: Tensor  # eV

    def __init__(self, size: Size, site_symmetry: bool) -> None:
        super().__init__()
        self.size = size
        self.rbf = BesselBasisLayer(size.radial, size.cutoff)
        self.sbf = AngularBasis(size)
        self.emb = Embedding(size, site_symmetry)
        self.output_blocks = nn.ModuleList(
            OutputPPBlock(size.radial, size.width, size.output_width, 1, 3, silu) for _ in range(size.blocks + 1)
        )
        if size.up_bias:
            for block in self.output_blocks:
                block.lin_up = nn.Linear(size.width, size.output_width)
        self.interaction_blocks = nn.ModuleList(
            InteractionPPBlock(
                size.width, size.interaction_width, size.basis_width, size.spherical, size.radial, 1, 2, silu
            )
            for _ in range(size.blocks)
        )
        # energy: mean over nodes of offset of the element + scale · output
        self.register_buffer("offset", torch.zeros(HEAVIEST + 1))
        self.register_buffer("scale", torch.ones(()))

    def forward(self, graphs: Graphs) -> Tensor:
        """(B,) eV/atom."""
        radial = self.rbf(graphs.length)
        into, onto, angle = graphs.triplets()
        angular = self.sbf(graphs.length, angle, into)
        # the sum over a node's edges; the block's first map is linear in the radial functions
        counted, centre, nodes = radial * graphs.count[:, None], graphs.centre, len(graphs.element)
        message = self.emb(graphs, radial)
        output = self.output_blocks[0](message, counted, centre, num_nodes=nodes)
        for interaction, block in zip(self.interaction_blocks, self.output_blocks[1:], strict=True):
            message = interaction(message, radial, angular, into, onto)
            output = output + block(message, counted, centre, num_nodes=nodes)
        energy = self.offset[graphs.element] + self.scale * output[:, 0]
        return energy.new_zeros(len(graphs)).index_add(0, graphs.crystal, graphs.weight * energy)
