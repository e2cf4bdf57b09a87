"""A crystal's graph divided by its space group: of equivalent atoms, bonds and angles one each, with its number.

CHGNet's features are invariants, so equivalent atoms, bonds and angles carry the same ones in every layer.  Messages
from equivalent neighbours are equal too, and computed once with their number as a weight.  The energy, and its
derivatives along what keeps the symmetry, are exactly those of the whole crystal.
"""

from __future__ import annotations

import numpy as np

from symmcd.crystallography.symmetric_cell import SymmetricCell
from symmcd.potentials.chgnet.network import ANGLE_CUTOFF, ATOM_CUTOFF
from symmcd.potentials.chgnet.topology import SKIN, Topology, angle_pairs
from symmcd.potentials.neighbour_list import bond_orbits


def quotient_topology(lattice: np.ndarray, position: np.ndarray, cell: SymmetricCell) -> Topology:
    """Topology with one node per orbit of `cell`, at a geometry that has its symmetry.

    Raises:
        UnusableCrystalError: see `check_cell`; or more angles than fit.
    """
    bonds = bond_orbits(cell, lattice, position, ATOM_CUTOFF + SKIN)
    first, second, image, mapped, label = bonds.first, bonds.second, bonds.image, bonds.mapped, bonds.label
    bond, bond_of, bond_count = bonds.bond, bonds.bond_of, bonds.bond_count
    u = len(first)
    centre, end = np.concatenate([first, second]), np.concatenate([second, first])
    direction = np.repeat([1, -1], u)
    edge, edge_of, edge_count = np.unique(label, return_inverse=True, return_counts=True)
    atoms = np.bincount(cell.orbit)

    length = np.linalg.norm((position[second] + image - position[first]) @ lattice, axis=1)
    near = np.flatnonzero(length[bond][bond_of] < ANGLE_CUTOFF + SKIN)
    spoke, other = (near[pair] for pair in angle_pairs(centre[near], len(position)))
    chosen = label[spoke] == spoke
    spoke, other = spoke[chosen], other[chosen]
    # operations that fix the first edge take angles at it into equivalent ones
    twin = np.where(mapped[:, spoke] == spoke, mapped[:, other], 2 * u).min(axis=0, initial=2 * u)
    _, kept, angle_count = np.unique(spoke * (2 * u) + twin, return_index=True, return_counts=True)
    spoke, other = spoke[kept], other[kept]
    # an angle needs the vectors of its very edges, which need not be those that stand for their orbits
    arm, arm_of = np.unique(np.concatenate([spoke, other]) % max(u, 1), return_inverse=True)
    listed = np.concatenate([bond, arm])
    return Topology(
        element=np.asarray(cell.element)[np.unique(cell.orbit, return_index=True)[1]],
        node_weight=atoms.astype(float),
        bond_from=first[listed],
        bond_to=second[listed],
        image=image[listed],
        bond_weight=bond_count.astype(float),
        edge_centre=cell.orbit[centre[edge]],
        edge_neighbour=cell.orbit[end[edge]],
        edge_bond=bond_of[edge],
        edge_weight=edge_count / atoms[cell.orbit[centre[edge]]],
        angle_centre=cell.orbit[centre[spoke]],
        angle_first=bond_of[spoke],
        angle_second=bond_of[other],
        angle_arms=len(bond) + arm_of.reshape(2, -1),
        angle_sign=direction[spoke] * direction[other],
        angle_weight=angle_count * edge_count[edge_of[spoke]] / bond_count[bond_of[spoke]],
    )
