"""CHGNet's network (Deng et al. 2023) with the package's weights, arranged to cost less and to take many crystals.

The numbers are those of ``chgnet.model.CHGNet``; what differs is the work done:

- the first layer of each gated MLP sees [atom, bond, atom] or [bond, bond, angle, atom] side by side.  A linear map of
  such a row is a sum of linear maps, so each is applied once per atom and once per bond, and the results are gathered;
- only bonds shorter than 3 Å are touched by bond convolutions, and the last angle update, which nothing reads, is left;
- energies are differentiated once, with respect to bond vectors, from which forces and stress follow;
- nodes, edges and angles carry a weight, so that of symmetry-equivalent ones a single one need be computed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

ATOM_CUTOFF = 6.0  # Å, neighbours in CHGNet's atom graph
ANGLE_CUTOFF = 3.0  # Å, bonds that make angles


@dataclass(frozen=True)
class BatchedGraph:
    """Graphs of many crystals, nodes, bonds and angles one crystal after the other.

    The first `short` of the u bonds are those that make angles.  Weights count the symmetry-equivalent ones that each
    stands for, seen from its owner (an edge's centre, an angle's first bond); None if all are 1.
    """

    element: Tensor  # (n,) atomic number of each node
    edge_centre: Tensor  # (e,) node
    edge_neighbour: Tensor  # (e,) node
    edge_bond: Tensor  # (e,) bond
    edge_weight: Tensor | None  # (e, 1)
    bonds: int
    short: int
    angle_centre: Tensor  # (a,) node
    angle_first: Tensor  # (a,) short bond, which the angle updates
    angle_second: Tensor  # (a,) short bond
    angle_arms: tuple[Tensor, Tensor]  # (a,) each, rows of the short bonds' vectors followed by those beyond the bonds'
    angle_sign: Tensor  # (a,) -1 where exactly one of the two vectors points at the centre
    angle_weight: Tensor | None  # (a, 1)


class _Silu(torch.autograd.Function):
    """x σ(x).  On a CPU torch's own takes four times as long, and its derivative eight times (torch 2.13)."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        gate = torch.sigmoid(x)
        result = x * gate
        context.save_for_backward(gate, result)
        return result

    @staticmethod
    def backward(context: Any, slope: Tensor) -> Tensor:
        gate, result = context.saved_tensors
        return (1 - gate).mul_(result).add_(gate).mul_(slope)


silu = _Silu.apply


@dataclass(frozen=True)
class _Gated:
    """silu(norm(core(x))) * sigmoid(norm(gate(x))), core and gate joined: first-layer weights per part of x.

    Without a hidden layer `second` is None.
    """

    parts: tuple[Tensor, ...]  # (64, 128) each, applied from the right
    bias: Tensor  # (128,)
    second: tuple[tuple[Tensor, Tensor], ...] | None  # core's and gate's (64, 64) and (64,)
    norms: tuple[Any, Any]

    def __call__(self, first: Tensor) -> Tensor:
        """Output (rows, 64) from the sum of the first layer's parts, (rows, 128)."""
        if self.second is None:
            core, gate = first.chunk(2, dim=1)
        else:
            (core_weight, core_bias), (gate_weight, gate_bias) = self.second
            hidden = silu(first)
            core = torch.addmm(core_bias, hidden[:, :64], core_weight)
            gate = torch.addmm(gate_bias, hidden[:, 64:], gate_weight)
        core, gate = (norm(x) for norm, x in zip(self.norms, (core, gate), strict=True))
        return silu(core) * torch.sigmoid(gate)


def _gated(mlp: Any, parts: int) -> _Gated:
    """Weights of a CHGNet ``GatedMLP`` whose input is `parts` rows of 64 side by side."""
    core = [layer for layer in mlp.mlp_core.layers if isinstance(layer, torch.nn.Linear)]
    gate = [layer for layer in mlp.mlp_gate.layers if isinstance(layer, torch.nn.Linear)]
    weight = torch.cat([core[0].weight, gate[0].weight]).detach().T
    second = None
    if len(core) > 1:
        second = tuple((x[1].weight.detach().T.contiguous(), x[1].bias.detach()) for x in (core, gate))
    return _Gated(
        tuple(part.contiguous() for part in weight.chunk(parts)),
        torch.cat([core[0].bias, gate[0].bias]).detach(),
        second,
        (mlp.bn1, mlp.bn2),
    )


class Network:
    """Site energies from bond vectors, with the weights of a loaded CHGNet 0.3.0 or r2SCAN.

    Args:
        model: what `potential.load_chgnet` returned; its weights are no longer differentiable afterwards.
    """

    def __init__(self, model: Any) -> None:
        model.requires_grad_(requires_grad=False)
        self.model = model
        self.device = next(model.parameters()).device
        self.reference = model.composition_model.fc.weight.detach().view(-1)  # (94,) eV per atom, of CHGNet's AtomRef
        self.atom_layers = [(_gated(layer.twoBody_atom, 3), layer.mlp_out) for layer in model.atom_conv_layers]
        self.bond_layers = [(_gated(layer.twoBody_bond, 4), layer.mlp_out) for layer in model.bond_conv_layers]
        self.angle_layers = [_gated(layer.twoBody_bond, 4) for layer in model.angle_layers[:-1]]

    def site_energies(self, graph: BatchedGraph, vectors: Tensor) -> Tensor:
        """(n,) energy of each node in eV.

        Args:
            graph: of the whole batch.
            vectors: (u + v, 3) in Å, float32: of the bonds, short ones first, then those that only angles need.
        """
        model, short = self.model, graph.short
        basis = model.bond_basis_expansion
        length = torch.linalg.vector_norm(vectors[: graph.bonds], dim=1)
        bond_basis = basis.rbf_expansion_ag(length)
        bond_weight = model.bond_weights_ag(bond_basis)
        bond = model.bond_embedding(bond_basis)
        bond, long_bond = bond[:short], bond[short:]
        angle_weight = model.bond_weights_bg(basis.rbf_expansion_bg(length[:short]))
        arms = torch.cat([vectors[:short], vectors[graph.bonds :]])
        unit = arms / torch.linalg.vector_norm(arms, dim=1, keepdim=True)
        cosine = (_rows(unit, graph.angle_arms[0]) * _rows(unit, graph.angle_arms[1])).sum(dim=1) * graph.angle_sign
        angle = model.angle_embedding(self._fourier(torch.acos(cosine * (1 - 1e-6))))
        scale = _rows(angle_weight, graph.angle_first) * _rows(angle_weight, graph.angle_second)
        if graph.angle_weight is not None:
            scale = scale * graph.angle_weight
        edge_scale = _rows(bond_weight, graph.edge_bond)
        if graph.edge_weight is not None:
            edge_scale = edge_scale * graph.edge_weight
        atom = model.atom_embedding(graph.element - 1)
        angles = len(graph.angle_first) > 0
        for index in range(len(self.bond_layers)):
            atom = self._atom_convolution(index, atom, torch.cat([bond, long_bond]), edge_scale, graph)
            if angles:
                gated, out = self.bond_layers[index]
                update = gated(self._around_angles(gated, atom, bond, angle, graph)) * scale
                bond = bond + out(torch.zeros_like(bond).index_add(0, graph.angle_first, update))
                if index < len(self.angle_layers):
                    gated = self.angle_layers[index]
                    angle = angle + gated(self._around_angles(gated, atom, bond, angle, graph))
        atom = self._atom_convolution(-1, atom, torch.cat([bond, long_bond]), edge_scale, graph)
        return model.mlp(model.readout_norm(atom)).view(-1) + self.reference[graph.element - 1]

    def _atom_convolution(self, index: int, atom: Tensor, bond: Tensor, scale: Tensor, graph: BatchedGraph) -> Tensor:
        gated, out = self.atom_layers[index]
        centre, middle, neighbour = gated.parts
        first = _rows(torch.addmm(gated.bias, atom, centre), graph.edge_centre)
        first = first + _rows(bond @ middle, graph.edge_bond) + _rows(atom @ neighbour, graph.edge_neighbour)
        return atom + out(torch.zeros_like(atom).index_add(0, graph.edge_centre, gated(first) * scale))

    @staticmethod
    def _around_angles(gated: _Gated, atom: Tensor, bond: Tensor, angle: Tensor, graph: BatchedGraph) -> Tensor:
        first, second, middle, centre = gated.parts
        around = _rows(bond @ first, graph.angle_first) + _rows(bond @ second, graph.angle_second)
        return torch.addmm(gated.bias, angle, middle) + around + _rows(atom @ centre, graph.angle_centre)

    def _fourier(self, angle: Tensor) -> Tensor:
        """CHGNet's Fourier basis: 1/√2, sines, cosines, over √π; (a, 31)."""
        phase = torch.outer(angle, self.model.angle_basis_expansion.fourier_expansion.frequencies)
        constant = torch.full_like(angle, 1 / math.sqrt(2))[:, None]
        return torch.cat([constant, torch.sin(phase), torch.cos(phase)], dim=1) / math.sqrt(math.pi)


def _rows(table: Tensor, index: Tensor) -> Tensor:
    """table[index], with the cheaper derivative."""
    return torch.index_select(table, 0, index)
