"""Graphs of many crystals as flat tensors, and batches of them with the triplets of DimeNet++."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.orbit import replicate_flat
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.formation_energy.neighbours import (
    COINCIDENT,
    Neighbours,
    NoGraphError,
    asymmetric_unit_neighbours,
    multigraph_neighbours,
)

HEAVIEST = 94
"""Atomic number up to which torch-geometric's block embeds elements; MP-20 ends there too."""


@dataclass(frozen=True)
class Graphs:
    """B crystals, A nodes, E edges, F arms (`Neighbours`), one crystal after the other; indices are global."""

    start: Tensor  # (B + 1,) nodes of each crystal
    element: Tensor  # (A,) atomic number
    site_symmetry: Tensor  # (A, 15) class index
    weight: Tensor  # (A,) share of the node in the mean over its crystal
    edge_start: Tensor  # (A + 1,) edges of each node
    arm_start: Tensor  # (A + 1,) arms of each node
    source: Tensor  # (E,) node
    count: Tensor  # (E,)
    length: Tensor  # (E,) Å
    seen: Tensor  # (E, 3) Å
    arm_edge: Tensor  # (F,)
    arm: Tensor  # (F, 3) Å

    def __len__(self) -> int:
        return len(self.start) - 1

    def to(self, device: torch.device) -> Graphs:
        return Graphs(**{f.name: getattr(self, f.name).to(device) for f in dataclasses.fields(self)})

    def select(self, rows: Tensor) -> Graphs:
        """The crystals at `rows`, in that order."""
        start, nodes = _slices(self.start, rows)
        edge_start, edges = _slices(self.edge_start, nodes)
        arm_start, arms = _slices(self.arm_start, nodes)
        moved_nodes = (start[:-1] - self.start[rows])[_owner(start)][_owner(edge_start)]
        moved_edges = (edge_start[:-1] - self.edge_start[nodes])[_owner(arm_start)]
        return Graphs(
            start, self.element[nodes], self.site_symmetry[nodes], self.weight[nodes], edge_start, arm_start,
            self.source[edges] + moved_nodes, self.count[edges], self.length[edges], self.seen[edges],
            self.arm_edge[arms] + moved_edges, self.arm[arms],
        )  # fmt: skip

    @property
    def crystal(self) -> Tensor:
        """(A,) crystal of each node."""
        return _owner(self.start)

    @property
    def centre(self) -> Tensor:
        """(E,) node of each edge."""
        return _owner(self.edge_start)

    def triplets(self) -> tuple[Tensor, Tensor, Tensor]:
        """Messages k → j that feed messages j → i, and the angle on the way.

        Returns:
            edge of k → j (T,), edge of j → i (T,), angle (T,) between the steps, 0 straight on; none straight back.
        """
        number = self.arm_start.diff()[self.source]
        onto = torch.repeat_interleave(number)
        arm = torch.arange(len(onto), device=onto.device) + (self.arm_start[self.source] - _before(number))[onto]
        first, second = self.seen[onto], self.arm[arm]  # i to j, j to k
        forward = ((first + second) ** 2).sum(dim=1) > COINCIDENT**2
        onto, arm, first, second = onto[forward], arm[forward], first[forward], second[forward]
        angle = torch.atan2(torch.linalg.cross(first, second).norm(dim=1), (first * second).sum(dim=1))
        return self.arm_edge[arm], onto, angle


def build_graphs(
    units: AsymmetricUnits,
    of_asymmetric_unit: bool,
    cutoff: float,
    nearest: int | None,
    advance: Callable[[int], None] = lambda _: None,
) -> tuple[Graphs, np.ndarray, list[str]]:
    """Graphs of all crystals that have one.

    Args:
        units: crystals.
        of_asymmetric_unit: of the representatives alone, weighted alike; else of every atom of the primitive cell.
        cutoff: Å.
        nearest: neighbours of an atom; 0 = all within the cutoff; None = CrystalNN's (not of the asymmetric unit).
        advance: told how many crystals more are done.

    Returns:
        The graphs, which crystals they are of (n,), and the reason for each that has none.
    """
    crystals = replicate_flat(units)
    neighbours: list[Neighbours] = []
    kept, reasons = [], []
    for index in range(len(units)):
        orbits, atoms = (slice(s[index], s[index + 1]) for s in (units.start, crystals.start))
        try:
            if units.element[orbits].max(initial=0) > HEAVIEST:
                raise NoGraphError("element", f"{units.label[index]}: an element heavier than {HEAVIEST}")
            if of_asymmetric_unit and nearest is not None:
                one = asymmetric_unit_neighbours(crystals.lattice[index], units.position[orbits], cutoff, nearest)
            else:
                one = multigraph_neighbours(
                    crystals.lattice[index], int(units.space_group[index]), units.wyckoff[orbits],
                    units.position[orbits], crystals.position[atoms], crystals.orbit[atoms] - units.start[index],
                    cutoff, nearest,
                )  # fmt: skip
            neighbours.append(one)
            kept.append(index)
        except NoGraphError as error:
            reasons.append(error.reason)
        advance(1)
    rows = np.array(kept, int)
    return _joined(units.take(rows), neighbours, of_asymmetric_unit), rows, reasons


def _joined(units: AsymmetricUnits, neighbours: list[Neighbours], of_asymmetric_unit: bool) -> Graphs:
    """Flat tensors of crystals and their neighbours."""
    table, nodes = wyckoff_table(), len(units.element)
    share = np.ones(nodes) if of_asymmetric_unit else table.multiplicity[units.wyckoff].astype(float)
    total = np.bincount(units.crystal, share, len(units))
    first_node, first_edge = units.start[:-1], np.cumsum([0, *(len(n.centre) for n in neighbours)])[:-1]

    def flat(name: str, shape: tuple[int, ...] = (), offset: np.ndarray | None = None) -> np.ndarray:
        parts = [getattr(n, name) + (0 if offset is None else offset[i]) for i, n in enumerate(neighbours)]
        return np.concatenate([np.zeros((0, *shape)), *parts])

    def starts(name: str) -> Tensor:
        number = np.bincount(flat(name, offset=first_node).astype(int), minlength=nodes)
        return torch.from_numpy(np.concatenate([[0], np.cumsum(number)]))

    def real(values: np.ndarray) -> Tensor:
        return torch.from_numpy(values.astype(np.float32))

    return Graphs(
        start=torch.from_numpy(units.start),
        element=torch.from_numpy(units.element),
        site_symmetry=torch.from_numpy(table.site_symmetry[units.wyckoff].astype(np.int64)),
        weight=real(share / total[units.crystal]),
        edge_start=starts("centre"),
        arm_start=starts("arm_centre"),
        source=torch.from_numpy(flat("source", offset=first_node).astype(np.int64)),
        count=real(flat("count")),
        length=real(flat("length")),
        seen=real(flat("seen", (3,))),
        arm_edge=torch.from_numpy(flat("arm_edge", offset=first_edge).astype(np.int64)),
        arm=real(flat("arm", (3,))),
    )


def _owner(start: Tensor) -> Tensor:
    return torch.repeat_interleave(start.diff())


def _before(number: Tensor) -> Tensor:
    return number.cumsum(0) - number


def _slices(start: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Starts of the slices of `rows` when put one after the other, and the indices in them."""
    number = start.diff()[rows]
    owner = torch.repeat_interleave(number)
    indices = torch.arange(len(owner), device=owner.device) + (start[rows] - _before(number))[owner]
    return torch.cat([number.new_zeros(1), number.cumsum(0)]), indices
