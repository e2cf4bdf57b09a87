"""CHGNet as a potential: energies, forces and stresses of many crystals in one call with one backward pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch

from symmcd.errors import InputError
from symmcd.potentials.chgnet.model import MAX_ANGLES, load_chgnet
from symmcd.potentials.chgnet.network import ANGLE_CUTOFF, ATOM_CUTOFF, BatchedGraph, Network
from symmcd.potentials.chgnet.quotient import quotient_topology
from symmcd.potentials.chgnet.topology import NeighbourList, Topology, plain_topology
from symmcd.potentials.chgnet.weights import CHGNET, CHGNET_R2SCAN, ChgnetWeights
from symmcd.potentials.potential import Point, Potential, Request, UnusableCrystalError, check_elements

BATCH_SIZE = {"cpu": 16, "cuda": 512}  # crystals in progress
BATCH_COST = {"cpu": 10_000, "cuda": 1_000_000}  # edges and angles in one call; measured in bench/relax.md
ROCK_SALT_ERROR = 1e-4  # eV/atom; rounding on any device is below 1e-5


def load(device: str) -> Potential:
    """CHGNet 0.3.0 on a device, ``cpu`` or ``cuda``.

    Raises:
        InputError: its weights are damaged or of another version, or its package computes otherwise.
    """
    return _load(CHGNET, device)


def load_r2scan(device: str) -> Potential:
    """CHGNet's r2SCAN network on a device, ``cpu`` or ``cuda``.

    Raises:
        InputError: its weights are damaged or of another version, or its package computes otherwise.
    """
    return _load(CHGNET_R2SCAN, device)


def _load(weights: ChgnetWeights, device: str) -> Potential:
    potential = ChgnetPotential(load_chgnet(device, weights), weights)
    check_rock_salt(potential, weights)
    return potential


def check_rock_salt(potential: Potential, weights: ChgnetWeights) -> None:
    """Refuse a network with the right weights and another energy of rock salt: chgnet's layers are not what they were.

    Raises:
        InputError: the energy is off by more than 0.1 meV/atom.
    """
    lattice = 5.69 / 2 * np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]])
    (point,) = potential.evaluate(
        [Request(lattice, np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]]), np.array([11, 17]))], forces=False
    )
    energy = point.energy if isinstance(point, Point) else np.nan
    if not abs(energy - weights.rock_salt) < ROCK_SALT_ERROR:
        raise InputError(
            f"{weights.name}: rock salt has the energy {energy:.5f} eV/atom, expected {weights.rock_salt:.5f}: "
            f"its package computes something else; {weights.reinstall()}"
        )


class ChgnetPotential(Potential):
    """CHGNet for batches; where a request has a symmetry, of equivalent atoms, bonds and angles one is computed.

    Args:
        model: what `model.load_chgnet` returned; its weights are no longer differentiable afterwards.
        weights: that it was loaded with.
    """

    def __init__(self, model: Any, weights: ChgnetWeights = CHGNET) -> None:
        self.elements = weights.elements
        self.network = Network(model)
        if weights.own_zero:  # added in double precision: at -90 eV/atom that of single precision is 8e-6
            reference = self.network.reference
            self.zeros = {number: float(reference[number - 1]) for number in self.elements}
            self.network.reference = torch.zeros_like(reference)
        self.batch_size = BATCH_SIZE[self.network.device.type]
        self.batch_cost = BATCH_COST[self.network.device.type]
        self._lists: WeakKeyDictionary[object, NeighbourList] = WeakKeyDictionary()

    def neighbours(self, request: Request) -> NeighbourList:
        """Neighbour list of a crystal, kept for its owner."""
        kept = None if request.owner is None else self._lists.get(request.owner)
        if kept is None:
            cell = request.symmetry
            build = plain_topology if cell is None else lambda a, x, _: quotient_topology(a, x, cell)
            kept = NeighbourList(request.element, build)
            if request.owner is not None:
                self._lists[request.owner] = kept
        return kept

    def _from_zero(self, request: Request, point: Point | UnusableCrystalError) -> Point | UnusableCrystalError:
        if not (self.zeros and isinstance(point, Point)):
            return point
        return dataclasses.replace(point, energy=point.energy + self.zero(request.element))

    def cost(self, request: Request) -> int:
        """Edges and angles at the last geometry that was computed; before that, at this one.

        Raises:
            UnusableCrystalError: it has no neighbour list.
        """
        neighbours = self.neighbours(request)
        topology = neighbours.latest or neighbours.topology(request.lattice, request.position)
        return len(topology.edge_bond) + len(topology.angle_first)

    def evaluate(self, requests: Sequence[Request], *, forces: bool = True) -> list[Point | UnusableCrystalError]:
        """One answer for each request: its point, or the reason for its failure.  No failure stops the others."""
        results: list[Point | UnusableCrystalError | None] = [None] * len(requests)
        tasks: list[tuple[int, Request, Topology]] = []
        for index, request in enumerate(requests):
            try:
                check_elements(request.element, self.elements)
                topology = self.neighbours(request).topology(request.lattice, request.position)
            except UnusableCrystalError as reason:
                results[index] = reason
            else:
                tasks.append((index, request, topology))
        if tasks:
            points = _evaluate(self.network, [task[1] for task in tasks], [task[2] for task in tasks], forces=forces)
            for (index, request, _), point in zip(tasks, points, strict=True):
                results[index] = self._from_zero(request, point)
        return [result for result in results if result is not None]


def _evaluate(
    network: Network, requests: list[Request], topologies: list[Topology], *, forces: bool
) -> list[Point | UnusableCrystalError]:
    cells = np.arange(len(requests))
    atoms = np.array([len(request.position) for request in requests])
    atom_start = np.concatenate([[0], np.cumsum(atoms)])
    position = np.concatenate([request.position for request in requests])
    owner = np.repeat(cells, [len(t.bond_from) for t in topologies])
    start = _joined([t.bond_from for t in topologies], atom_start)
    end = _joined([t.bond_to for t in topologies], atom_start)
    step = position[end] + np.concatenate([t.image for t in topologies]) - position[start]
    vector = np.einsum("ui,uij->uj", step, np.stack([request.lattice for request in requests])[owner])
    batch = _in_use(topologies, np.linalg.norm(vector, axis=1))

    energy, slope = _energies(network, batch, vector[batch.order], len(cells), forces=forces)
    finite = np.isfinite(energy)
    force, virial = np.empty((0, 3)), np.empty((len(cells), 0, 3))
    if slope is not None:
        gradient = np.zeros_like(vector)
        gradient[batch.order] = slope
        force = _summed(gradient, start, len(position)) - _summed(gradient, end, len(position))
        rows = _summed((vector[:, :, None] * gradient[:, None, :]).reshape(-1, 9), owner, len(cells))
        virial = rows.reshape(-1, 3, 3)
        virial = (virial + virial.swapaxes(1, 2)) / 2  # rounding alone makes it unsymmetric
        broken = np.bincount(np.repeat(cells, atoms), ~np.isfinite(force).all(axis=1), len(cells))
        finite &= np.isfinite(virial).all(axis=(1, 2)) & (broken == 0)
    results: list[Point | UnusableCrystalError] = []
    for i in cells:
        if batch.isolated[i]:
            results.append(UnusableCrystalError("isolated_atoms"))
        elif batch.number_of_angles[i] > MAX_ANGLES:
            results.append(UnusableCrystalError("too_many_neighbours"))
        elif not finite[i]:
            results.append(UnusableCrystalError("nan_forces"))
        else:
            own = slice(atom_start[i], atom_start[i + 1])
            results.append(Point(float(energy[i]) / int(atoms[i]), force[own], virial[i]))
    return results


def _energies(
    network: Network, batch: _Batch, vector: np.ndarray, cells: int, *, forces: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Energy (cells,) in eV of each cell, and its derivative (u, 3) with respect to the vectors in use."""
    leaf = torch.as_tensor(vector, dtype=torch.float32).to(network.device).requires_grad_(forces)
    with torch.set_grad_enabled(forces):
        site = network.site_energies(batch.graph(network.device), leaf)
        number = torch.as_tensor(batch.node_weight, dtype=torch.float32).to(network.device)
        slope = torch.autograd.grad((site * number).sum(), leaf)[0].cpu().numpy() if forces else None
    return np.bincount(batch.node_cell, site.detach().cpu().numpy().astype(float) * batch.node_weight, cells), slope


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
