"""Objective of the training of a predictor: the mean absolute error of the energy per atom."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from symmcd.formation_energy.graphs import Graphs
from symmcd.formation_energy.network import DimeNetPlusPlus, Size

RIDGE = 1e-3
"""Ridge of the regression on elements; it keeps rare ones near the mean."""


class EnergyObjective:
    """Absolute errors on training and validation crystals (an `Objective` of `diffusion.training.minimise`).

    Args:
        size: of the network.
        site_symmetry: whether its nodes know theirs.
        train, validation: graphs, on the device to train on.
        energy, validation_energy: (B,) eV/atom.
    """

    names = ("error", "total")  # eV/atom; in units of the scale
    precision = torch.float32

    def __init__(
        self,
        size: Size,
        site_symmetry: bool,
        train: Graphs,
        validation: Graphs,
        energy: Tensor,
        validation_energy: Tensor,
    ) -> None:
        self.train, self.validation = train, validation
        self.energy, self.validation_energy = energy.to(train.length), validation_energy.to(train.length)
        self.network = DimeNetPlusPlus(size, site_symmetry)
        offset, scale = element_offsets(train, energy)
        self.network.offset.copy_(offset)
        self.network.scale.copy_(scale)
        self.network.to(train.length.device)

    @property
    def crystals(self) -> int:
        return len(self.train)

    def losses(
        self,
        network: nn.Module,
        rows: Tensor,
        seed: int,  # noqa: ARG002  (nothing here is random)
        *,
        backward: bool,
        share: Tensor | None = None,
    ) -> dict[str, float]:
        """Mean losses of the crystals `rows`, or what those at `share` add to them."""
        mine = rows if share is None else rows[share]
        with torch.set_grad_enabled(backward):
            error = (network(self.train.select(mine)) - self.energy[mine]).abs().sum() / len(rows)
            total = error / self.network.scale
        if backward:
            total.backward()
        return {"error": error.item(), "total": total.item()}

    def validation_losses(self, network: nn.Module, batch_size: int) -> dict[str, float]:
        """Mean losses of all validation crystals."""
        error = (energies(network, self.validation, batch_size) - self.validation_energy).abs().mean().item()
        return {"error": error, "total": error / self.network.scale.item()}

    def inputs(self, rows: Tensor, seed: int) -> dict[str, Tensor]:  # noqa: ARG002
        """Input of the network, to be saved when it breaks."""
        graphs = self.train.select(rows)
        tensors = {field.name: getattr(graphs, field.name) for field in dataclasses.fields(graphs)}
        return tensors | {"rows": rows, "energy": self.energy[rows]}


@torch.no_grad()
def energies(network: nn.Module, graphs: Graphs, batch_size: int) -> Tensor:
    """(B,) eV/atom, predicted in batches."""
    rows = torch.arange(len(graphs), device=graphs.length.device)
    parts = [network(graphs.select(part)) for part in rows.split(batch_size)]
    return torch.cat(parts) if parts else graphs.length.new_zeros(0)


def element_offsets(graphs: Graphs, energy: Tensor) -> tuple[Tensor, Tensor]:
    """An energy for each element (95,), by ridge regression on the nodes' elements, and the spread left by it, eV/atom.

    Nodes count as the network weighs them: a graph that does not tell how many atoms a node stands for does not here.
    """
    elements = torch.zeros(len(graphs), 95, dtype=torch.float64)
    elements.index_put_((graphs.crystal.cpu(), graphs.element.cpu()), graphs.weight.cpu().double(), accumulate=True)
    target = energy.cpu().double()
    mean = target.mean()
    normal = elements.T @ elements / len(target) + RIDGE * torch.eye(95, dtype=torch.float64)
    offset = torch.linalg.solve(normal, elements.T @ (target - mean) / len(target)) + mean
    spread = (elements @ offset - target).std(correction=0).clamp(min=1e-3)
    return offset.float(), spread.float()
