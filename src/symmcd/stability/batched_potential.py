"""Energies, forces and stresses of many crystals in one CHGNet call with one backward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from symmcd.stability.neighbours import NeighbourList, Topology
from symmcd.stability.network import ANGLE_CUTOFF, ATOM_CUTOFF, BatchedGraph, Network
from symmcd.stability.potential import KNOWN_ELEMENTS, MAX_ANGLES, UnusableCrystalError


@dataclass(frozen=True)
class Point:
    """What is known of one crystal at one geometry.

    In a quotient by symmetry, forces and virial are exact only along what keeps the symmetry.
    """

    energy: float  # eV, of the cell
    forces: np.ndarray  # (n, 3) eV/Å
    virial: np.ndarray  # (3, 3) dE/dε in eV, cell rows a(1 + ε); symmetric.  Stress (tension > 0) is virial / volume


@dataclass(frozen=True)
class Request:
    """A crystal to compute: cell rows a, b, c in Å, fractional positions, and its neighbour list."""

    lattice: np.ndarray  # (3, 3)
    position: np.ndarray  # (n, 3)
    neighbours: NeighbourList


def check_elements(element: np.ndarray) -> None:
    """Refuse elements that CHGNet was not trained on.

    Raises:
        UnusableCrystalError: unknown_element:Po, joined by +.
    """
    from ase.data import chemical_symbols

    unknown = sorted({chemical_symbols[z] for z in np.asarray(element).tolist() if z not in KNOWN_ELEMENTS})
    if unknown:
        raise UnusableCrystalError("unknown_element:" + "+".join(unknown))


class BatchedPotential:
    """CHGNet for batches.

    Args:
        model: what `potential.load_chgnet` returned.
    """

    def __init__(self, model: Any) -> None:
        self.network = Network(model)

    def evaluate(self, requests: Sequence[Request]) -> list[Point | UnusableCrystalError]:
        """One entry a crystal: its point, or the reason why there is none.  One never stops the others."""
        results: list[Point | UnusableCrystalError | None] = [None] * len(requests)
        tasks: list[tuple[int, Request, Topology]] = []
        for index, request in enumerate(requests):
            try:
                check_elements(request.neighbours.element)
                topology = request.neighbours.topology(request.lattice, request.position)
            except UnusableCrystalError as reason:
                results[index] = reason
            else:
                tasks.append((index, request, topology))
        points = _evaluate(self.network, [task[1] for task in tasks], [task[2] for task in tasks]) if tasks else []
        for (index, _, _), point in zip(tasks, points, strict=True):
            results[index] = point
        return [result for result in results if result is not None]


def _evaluate(
    network: Network, requests: list[Request], topologies: list[Topology]
) -> list[Point | UnusableCrystalError]:
    cells = np.arange(len(requests))
    atom_start = np.concatenate([[0], np.cumsum([len(request.position) for request in requests])])
    position = np.concatenate([request.position for request in requests])
    owner = np.repeat(cells, [len(t.bond_from) for t in topologies])
    start = _joined([t.bond_from for t in topologies], atom_start)
    end = _joined([t.bond_to for t in topologies], atom_start)
    step = position[end] + np.concatenate([t.image for t in topologies]) - position[start]
    vector = np.einsum("ui,uij->uj", step, np.stack([request.lattice for request in requests])[owner])
    length = np.linalg.norm(vector, axis=1)
    batch = _in_use(topologies, length)

    leaf = torch.as_tensor(vector[batch.order], dtype=torch.float32).to(network.device).requires_grad_()
    graph = batch.graph(network.device)
    site = network.site_energies(graph, leaf)
    number = torch.as_tensor(batch.node_weight, dtype=torch.float32).to(network.device)
    (slope,) = torch.autograd.grad((site * number).sum(), leaf)

    gradient = np.zeros_like(vector)
    gradient[batch.order] = slope.cpu().numpy()
    energy = np.bincount(batch.node_cell, site.detach().cpu().numpy().astype(float) * batch.node_weight, len(cells))
    forces = _summed(gradient, start, len(position)) - _summed(gradient, end, len(position))
    virial = _summed((vector[:, :, None] * gradient[:, None, :]).reshape(-1, 9), owner, len(cells)).reshape(-1, 3, 3)
    finite = np.isfinite(energy) & np.isfinite(virial).all(axis=(1, 2))
    results: list[Point | UnusableCrystalError] = []
    for i in cells:
        own = slice(atom_start[i], atom_start[i + 1])
        if batch.isolated[i]:
            results.append(UnusableCrystalError("isolated_atoms"))
        elif batch.number_of_angles[i] > MAX_ANGLES:
            results.append(UnusableCrystalError("too_many_neighbours"))
        elif not (finite[i] and np.isfinite(forces[own]).all()):
            results.append(UnusableCrystalError("nan_forces"))
        else:
            whole = (virial[i] + virial[i].T) / 2  # rounding alone makes it unsymmetric
            results.append(Point(float(energy[i]), forces[own], whole))
    return results


@dataclass(frozen=True)
class _Batch:
    """Topologies one after the other, without what lies beyond CHGNet's cutoffs."""

    order: np.ndarray  # vectors in use: short bonds, longer bonds, other arms of angles
    node_cell: np.ndarray  # (n,)
    node_weight: np.ndarray  # (n,)
    isolated: np.ndarray  # (cells,) bool
    number_of_angles: np.ndarray  # (cells,) of the whole crystal
    arrays: dict[str, np.ndarray]
    bonds: int
    short: int

    def graph(self, device: torch.device) -> BatchedGraph:
        """The network's input; weights that are all 1 are left out."""

        def weight(array: np.ndarray) -> torch.Tensor | None:
            return None if (array == 1).all() else torch.as_tensor(array, dtype=torch.float32).to(device)[:, None]

        index = {name: torch.as_tensor(array).to(device) for name, array in self.arrays.items()}
        return BatchedGraph(
            **{name: index[name] for name in ("element", "edge_centre", "edge_neighbour", "edge_bond")},
            **{name: index[name] for name in ("angle_centre", "angle_first", "angle_second")},
            edge_weight=weight(self.arrays["edge_weight"]),
            angle_weight=weight(self.arrays["angle_weight"]),
            angle_sign=index["angle_sign"].float(),
            angle_arms=(index["angle_arms"][0], index["angle_arms"][1]),
            bonds=self.bonds,
            short=self.short,
        )


def _in_use(topologies: list[Topology], length: np.ndarray) -> _Batch:
    """The batch at bond lengths `length`, in the order in which the topologies list them."""
    cells = np.arange(len(topologies))
    nodes, listed = [len(t.element) for t in topologies], [len(t.bond_from) for t in topologies]
    node_start, bond_start = (np.concatenate([[0], np.cumsum(count)]) for count in (nodes, listed))
    node_cell = np.repeat(cells, nodes)
    is_bond = np.concatenate([np.arange(n) < len(t.bond_weight) for n, t in zip(listed, topologies, strict=True)])
    near = np.flatnonzero(is_bond & (length < ANGLE_CUTOFF))
    far = np.flatnonzero(is_bond & (length >= ANGLE_CUTOFF) & (length < ATOM_CUTOFF))
    arms = np.flatnonzero(~is_bond & (length < ANGLE_CUTOFF + 1e-3))  # rounding must not part an arm from its bond
    order = np.concatenate([near, far, arms])
    rank = np.full(len(length), -1)
    rank[order] = np.arange(len(order))
    edge_bond = rank[_joined([t.edge_bond for t in topologies], bond_start)]
    edges = edge_bond >= 0
    first, second = (
        rank[_joined([getattr(t, n) for t in topologies], bond_start)] for n in ("angle_first", "angle_second")
    )
    angles = (first >= 0) & (first < len(near)) & (second >= 0) & (second < len(near))
    arm = rank[
        np.concatenate([t.angle_arms + offset for t, offset in zip(topologies, bond_start, strict=False)], axis=1)
    ]
    arm = arm[:, angles]
    edge_centre = _joined([t.edge_centre for t in topologies], node_start)[edges]
    angle_centre = _joined([t.angle_centre for t in topologies], node_start)[angles]
    angle_weight = np.concatenate([t.angle_weight for t in topologies])[angles]
    bond_weight = np.ones(len(length))
    bond_weight[is_bond] = np.concatenate([t.bond_weight for t in topologies])
    degree = np.bincount(edge_centre, minlength=node_start[-1])
    return _Batch(
        order=order,
        node_cell=node_cell,
        node_weight=np.concatenate([t.node_weight for t in topologies]),
        isolated=np.bincount(node_cell[degree == 0], minlength=len(cells)) > 0,
        number_of_angles=np.bincount(
            node_cell[angle_centre], angle_weight * bond_weight[order[first[angles]]], len(cells)
        ),
        arrays={
            "element": np.concatenate([t.element for t in topologies]).astype(np.int64),
            "edge_centre": edge_centre,
            "edge_neighbour": _joined([t.edge_neighbour for t in topologies], node_start)[edges],
            "edge_bond": edge_bond[edges],
            "edge_weight": np.concatenate([t.edge_weight for t in topologies])[edges],
            "angle_centre": angle_centre,
            "angle_first": first[angles],
            "angle_second": second[angles],
            "angle_arms": np.where(arm < len(near), arm, arm - len(far)),
            "angle_sign": np.concatenate([t.angle_sign for t in topologies])[angles],
            "angle_weight": angle_weight,
        },
        bonds=len(near) + len(far),
        short=len(near),
    )


def _summed(rows: np.ndarray, owner: np.ndarray, number: int) -> np.ndarray:
    """Rows added up by owner, (number, columns)."""
    return np.stack([np.bincount(owner, column, number) for column in rows.T], axis=1)


def _joined(arrays: list[np.ndarray], offsets: np.ndarray) -> np.ndarray:
    """Index arrays of the crystals one after the other, each counted on from its offset (one more is given)."""
    return np.concatenate([array + offset for array, offset in zip(arrays, offsets, strict=False)])
