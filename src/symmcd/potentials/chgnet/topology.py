"""Neighbours in a crystal, as CHGNet's graph has them, from arrays; kept while atoms move little."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from symmcd.potentials.chgnet.network import ANGLE_CUTOFF, ATOM_CUTOFF
from symmcd.potentials.neighbour_list import check_cell, half_list
from symmcd.potentials.potential import UnusableCrystalError

# Å added to both cutoffs.  Edges beyond CHGNet's cutoffs weigh exactly nothing in its network, so that they may be
# listed, and are left out again before each energy call.
SKIN = 0.5
MAX_LISTED_ANGLES = 400_000  # index triples with the skin; sound crystals have up to some 300 per atom


@dataclass(frozen=True)
class Topology:
    """Bonds and angles of one crystal within the cutoffs plus `SKIN`, in terms of its atoms (nodes).

    A bond runs from atom `bond_from` to the periodic image `image` of atom `bond_to` and is listed in one direction.
    In a quotient by symmetry (`quotient.py`) nodes, bonds, edges and angles are representatives of their orbits;
    behind the u bonds then follow the bonds whose vectors its angles take.
    """

    element: np.ndarray  # (n,) atomic number of each node
    node_weight: np.ndarray  # (n,) atoms that each node stands for
    bond_from: np.ndarray  # (u + v,) atom
    bond_to: np.ndarray  # (u + v,) atom
    image: np.ndarray  # (u + v, 3)
    bond_weight: np.ndarray  # (u,) bonds of the cell that each stands for
    edge_centre: np.ndarray  # (e,) node
    edge_neighbour: np.ndarray  # (e,) node
    edge_bond: np.ndarray  # (e,)
    edge_weight: np.ndarray  # (e,) equivalent edges at the same centre
    angle_centre: np.ndarray  # (a,) node
    angle_first: np.ndarray  # (a,) bond
    angle_second: np.ndarray  # (a,) bond
    angle_arms: np.ndarray  # (2, a) its two vectors, among the u + v
    angle_sign: np.ndarray  # (a,) -1 where exactly one of the two vectors points at the centre
    angle_weight: np.ndarray  # (a,) equivalent angles at the same first bond


def plain_topology(lattice: np.ndarray, position: np.ndarray, element: np.ndarray) -> Topology:
    """Every atom a node, every bond and angle by itself.

    Raises:
        UnusableCrystalError: see `check_cell`; or more angles than fit.
    """
    check_cell(lattice, position, ATOM_CUTOFF + SKIN)
    first, second, image = half_list(lattice, position, ATOM_CUTOFF + SKIN)
    number = len(first)
    length = np.linalg.norm((position[second] + image - position[first]) @ lattice, axis=1)
    near = np.flatnonzero(length < ANGLE_CUTOFF + SKIN)
    spoke, other = angle_pairs(np.concatenate([first[near], second[near]]), len(position))
    bond, sign = np.concatenate([near, near]), np.repeat([1, -1], len(near))
    every = np.arange(number)
    return Topology(
        element=element,
        node_weight=np.ones(len(element)),
        bond_from=first,
        bond_to=second,
        image=image,
        bond_weight=np.ones(number),
        edge_centre=np.concatenate([first, second]),
        edge_neighbour=np.concatenate([second, first]),
        edge_bond=np.concatenate([every, every]),
        edge_weight=np.ones(2 * number),
        angle_centre=np.concatenate([first[near], second[near]])[spoke],
        angle_first=bond[spoke],
        angle_second=bond[other],
        angle_arms=np.stack([bond[spoke], bond[other]]),
        angle_sign=sign[spoke] * sign[other],
        angle_weight=np.ones(len(spoke)),
    )


def angle_pairs(centre: np.ndarray, atoms: int) -> tuple[np.ndarray, np.ndarray]:
    """All ordered pairs of different directed bonds (index into `centre`) that share their centre.

    Raises:
        UnusableCrystalError: too_many_neighbours.
    """
    count = np.bincount(centre, minlength=atoms)
    if (count * (count - 1)).sum() > MAX_LISTED_ANGLES:
        raise UnusableCrystalError("too_many_neighbours")
    order = np.argsort(centre, kind="stable")
    size = count[centre[order]]  # size of the group that each sorted entry belongs to
    start = np.cumsum(count)[centre[order]] - size
    first = np.repeat(np.arange(len(order)), size)
    second = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size) + np.repeat(start, size)
    different = first != second
    return order[first[different]], order[second[different]]


class NeighbourList:
    """The topology of one crystal on its way, made anew only when a pair could have come within a cutoff unlisted.

    Args:
        element: (n,) atomic numbers.
        build: makes a topology from lattice, positions and elements; `plain_topology`, or a quotient by symmetry.
    """

    def __init__(
        self,
        element: np.ndarray,
        build: Callable[[np.ndarray, np.ndarray, np.ndarray], Topology] = plain_topology,
    ) -> None:
        self.element = np.asarray(element)
        self._build = build
        self.latest: Topology | None = None
        self.built = 0  # times that it was made

    def topology(self, lattice: np.ndarray, position: np.ndarray) -> Topology:
        """Topology that holds for this geometry.  `position` is fractional and not wrapped between calls.

        Raises:
            UnusableCrystalError: see `check_cell`.
        """
        if self.latest is None or not self._still_holds(lattice, position):
            self.latest = self._build(lattice, position, self.element)
            self._inverse, self._position = np.linalg.inv(lattice), position.copy()
            self.built += 1
        return self.latest

    def _still_holds(self, lattice: np.ndarray, position: np.ndarray) -> bool:
        """Return whether no pair not listed can be within a cutoff, of bonds or of angles.

        With F the deformation since and d the largest shift beyond it, a pair now closer than r was before closer
        than (r + 2 d) / (smallest singular value of F).  In a cell that grew, the shorter cutoff is the first to be
        crossed, in one that shrank the longer.  (False where anything is not a number.)
        """
        smallest = np.linalg.svd(self._inverse @ lattice, compute_uv=False)[-1] if np.isfinite(lattice).all() else 0.0
        shift = np.linalg.norm((position - self._position) @ lattice, axis=1).max()
        return all(cutoff + 2 * shift <= smallest * (cutoff + SKIN) for cutoff in (ANGLE_CUTOFF, ATOM_CUTOFF))
