"""The denoiser written straightforwardly with torch-geometric: what bench/table4.py measures ours against.

The same function of the same weights, in the way of the networks that the paper builds on (DiffCSP's CSPNet): a flat
graph of all orbits with an edge for every pair of a crystal, and in each layer a message MLP on the concatenation
[h_i, h_j, k, ψ(x_i - x_j)] of every edge, ψ computed in the layer.  It is spared one weakness of the authors' code: its
edges are made by a few tensor operations, not from an N×N matrix of the whole batch.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch_geometric.nn import LayerNorm, MessagePassing
from torch_geometric.utils import scatter

from symmcd.batch import NoisyBatch
from symmcd.diffusion.data_statistics import AXES, CLASSES
from symmcd.diffusion.denoiser import Denoiser, MessageLayer, Prediction, time_features
from symmcd.diffusion.forward_process import Target


class YardstickLayer(MessagePassing):
    """One layer, its weights copied from ours."""

    def __init__(self, ours: MessageLayer, width: int, frequencies: int) -> None:
        super().__init__(aggr="sum")
        self.frequencies = frequencies
        self.norm = LayerNorm(width, mode="node")
        self.message_mlp = nn.Sequential(
            nn.Linear(2 * width + 6 + 6 * frequencies, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.update_mlp = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        weight = [ours.receiver.weight, ours.sender.weight, ours.lattice.weight, ours.pair.weight]
        self.message_mlp[0].weight.data = torch.cat(weight, dim=1).detach().clone()
        self.message_mlp[0].bias.data = ours.receiver.bias.detach().clone()
        self.norm.load_state_dict(ours.norm.state_dict())
        self.message_mlp[2].load_state_dict(ours.message.state_dict())
        self.update_mlp[0].load_state_dict(ours.update.state_dict())
        self.update_mlp[2].load_state_dict(ours.update_out.state_dict())

    def forward(self, h: Tensor, edges: Tensor, difference: Tensor, lattice: Tensor) -> Tensor:
        """New h (A, W); edges (2, E) sender and receiver, difference (E, 3), lattice (A, 6) of each orbit's crystal."""
        n = self.norm(h)
        received = self.propagate(edges, n=n, difference=difference, lattice=lattice)
        return h + self.update_mlp(torch.cat([n, received], dim=-1))

    def message(self, n_i: Tensor, n_j: Tensor, difference: Tensor, lattice_i: Tensor) -> Tensor:
        return self.message_mlp(torch.cat([n_i, n_j, lattice_i, embedded(difference, self.frequencies)], dim=-1))


class Yardstick(nn.Module):
    """The network: called like ours, with a dense batch, or by `flat`."""

    def __init__(self, ours: Denoiser) -> None:
        super().__init__()
        self.settings = ours.settings
        for name in ("element", "axis", "site_symmetry", "position", "space_group", "time", "lattice", "start", "norm"):
            self.add_module(name, copy.deepcopy(getattr(ours, name)))
        for name in ("position_head", "lattice_head", "element_head", "site_symmetry_head"):
            self.add_module(name, copy.deepcopy(getattr(ours, name)))
        width, frequencies = ours.settings.width, ours.settings.frequencies
        self.layers = nn.ModuleList(YardstickLayer(layer, width, frequencies) for layer in ours.layers)
        self.register_buffer("codes", ours.codes.clone())

    def flat(self, state: NoisyBatch, time: Tensor) -> Prediction:
        """Prediction for the real orbits, laid flat: (1, A, …) where ours has (B, N, …)."""
        settings = self.settings
        crystal = state.mask.nonzero()[:, 0]  # (A,)
        position, element, axes = state.position[state.mask], state.element[state.mask], state.site_symmetry[state.mask]
        h = self.element(element) + self.site_symmetry(self.axis(axes).flatten(1))
        fraction = (time / settings.steps).to(h.dtype)
        whole = (
            self.space_group(self.codes[state.space_group - 1])
            + self.time(time_features(fraction, settings.time_features))
            + self.lattice(state.z)
        )
        h = h + self.position(embedded(position, settings.frequencies)) + whole[crystal]
        h = self.start(nn.functional.silu(h))
        edges = all_pairs(state.count)
        difference = position[edges[1]] - position[edges[0]]
        lattice = state.z[crystal]
        for layer in self.layers:
            h = layer(h, edges, difference, lattice)
        h = self.norm(h)
        pooled = scatter(h, crystal, dim=0, dim_size=len(state), reduce="sum")
        return Prediction(
            lattice_noise=self.lattice_head(pooled).float(),
            position_score=self.position_head(h).float()[None],
            element=self.element_head(h).float()[None],
            site_symmetry=self.site_symmetry_head(h).float().reshape(1, -1, AXES, CLASSES),
        )

    def forward(self, state: NoisyBatch, time: Tensor) -> Prediction:
        """Prediction in the dense shape of ours; 0 where padded."""
        flat = self.flat(state, time)

        def dense(values: Tensor) -> Tensor:
            padded = values.new_zeros(*state.mask.shape, *values.shape[2:])
            padded[state.mask] = values[0]
            return padded

        parts = (flat.position_score, flat.element, flat.site_symmetry)
        return Prediction(flat.lattice_noise, *(dense(values) for values in parts))


def flat_target(target: Target, mask: Tensor) -> Target:
    """What `Yardstick.flat` should answer: the real orbits of a target, (1, A, …)."""
    values = (value[mask][None] for value in (target.position_score, target.element, target.site_symmetry))
    return Target(target.lattice_noise, *values)


def embedded(x: Tensor, frequencies: int) -> Tensor:
    """sin and cos of 2π n x, (…, 6 F), in our order: all sines first."""
    n = torch.arange(1, frequencies + 1, device=x.device, dtype=x.dtype)
    angle = (2 * math.pi * x[..., None] * n).flatten(-2)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


def all_pairs(count: Tensor) -> Tensor:
    """Sender and receiver of every ordered pair within a crystal, an orbit with itself too: (2, Σ M²)."""
    start = count.cumsum(0) - count
    pairs = count**2
    crystal = torch.repeat_interleave(pairs)
    within = torch.arange(len(crystal), device=count.device) - (pairs.cumsum(0) - pairs)[crystal]
    return start[crystal] + torch.stack([within % count[crystal], within // count[crystal]])
