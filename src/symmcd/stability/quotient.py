"""A crystal's graph divided by its space group: of equivalent atoms, bonds and angles one each, with its number.

CHGNet's features are invariants, so equivalent atoms, bonds and angles carry the same ones in every layer.  Messages
from equivalent neighbours are equal too, and computed once with their number as a weight.  The energy, and its
derivatives along what keeps the symmetry, are exactly those of the whole crystal.
"""

from __future__ import annotations

import numpy as np

from symmcd.stability.neighbours import SKIN, Topology, angle_pairs, check_cell, half_list
from symmcd.stability.network import ANGLE_CUTOFF, ATOM_CUTOFF
from symmcd.stability.symmetric_cell import SymmetricCell


def quotient_topology(lattice: np.ndarray, position: np.ndarray, cell: SymmetricCell) -> Topology:
    """Topology with one node an orbit of `cell`, at a geometry that has its symmetry.

    Directed edge d < u is bond d from its first atom to its second, d + u the same bond back.

    Raises:
        UnusableCrystalError: see `check_cell`; or more angles than fit.
    """
    check_cell(lattice, position)
    (first, second, image), mapped = _closed(cell, *half_list(lattice, position, ATOM_CUTOFF + SKIN))
    u = len(first)
    centre, end = np.concatenate([first, second]), np.concatenate([second, first])
    direction = np.repeat([1, -1], u)
    label = mapped.min(axis=0, initial=2 * u)  # representative of each directed edge's orbit
    edge, edge_of, edge_count = np.unique(label, return_inverse=True, return_counts=True)
    # an orbit of directed edges and that of their reverses make one orbit of bonds
    bond, bond_of, bond_count = np.unique(np.minimum(label[:u], label[u:]), return_inverse=True, return_counts=True)
    bond_of = np.concatenate([bond_of, bond_of])
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


def _closed(
    cell: SymmetricCell, first: np.ndarray, second: np.ndarray, image: np.ndarray
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """The bonds whose whole orbits are listed, and where each operation takes each directed edge: (g, 2u).

    At the very edge of the list rounding may leave members of an orbit out; none of that orbit is needed there.
    """
    centre, end = np.concatenate([first, second]), np.concatenate([second, first])
    offset = np.concatenate([image, -image])
    start, finish = cell.partner[:, centre], cell.partner[:, end]
    moved = offset @ np.swapaxes(cell.rotation, 1, 2) + cell.shift[:, end] - cell.shift[:, centre]
    reach = int(np.abs(image).max(initial=0))
    outside = (np.abs(moved) > reach).any(axis=2)
    key = _key(centre, end, offset, len(cell.element), reach)
    order = np.argsort(key)
    wanted = np.where(outside, -1, _key(start, finish, moved, len(cell.element), reach))
    place = np.minimum(np.searchsorted(key[order], wanted), len(key) - 1)
    mapped = order[place] if len(key) else np.zeros((len(cell.rotation), 0), int)
    whole = (key[mapped] == wanted).all(axis=0)
    if whole.all():
        return (first, second, image), mapped
    keep = np.flatnonzero(whole[: len(first)] & whole[len(first) :])
    return _closed(cell, first[keep], second[keep], image[keep])


def _key(centre: np.ndarray, end: np.ndarray, image: np.ndarray, atoms: int, reach: int) -> np.ndarray:
    """One integer for each directed edge."""
    key = centre.astype(np.int64) * atoms + end
    for axis in range(3):
        key = key * (2 * reach + 1) + image[..., axis] + reach
    return key
