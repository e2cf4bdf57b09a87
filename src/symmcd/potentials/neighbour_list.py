"""Pairs of atoms within a radius, as they are and divided by a space group; any potential may use them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symmcd.crystallography.symmetric_cell import SymmetricCell
from symmcd.potentials.potential import FLAT, UnusableCrystalError

MAX_PERIODIC_IMAGES = 200_000  # atoms within the radius of the cell; a sound cell of 20 atoms has about 1,000


def check_cell(lattice: np.ndarray, position: np.ndarray, radius: float) -> None:
    """Refuse a cell that has no neighbour list, or one that would fill the memory.

    Raises:
        UnusableCrystalError: not_finite, flat_cell or too_many_neighbours.
    """
    if not (np.isfinite(lattice).all() and np.isfinite(position).all()):
        raise UnusableCrystalError("not_finite")
    volume = abs(np.linalg.det(lattice))
    if volume < FLAT:
        raise UnusableCrystalError("flat_cell")
    # The search lists every periodic image within the radius of the cell: bound their number before it runs.
    heights = volume / np.linalg.norm(np.cross(lattice[[1, 2, 0]], lattice[[2, 0, 1]]), axis=1)  # between faces, Å
    if len(position) * np.prod(2 * np.ceil(radius / heights) + 1) > MAX_PERIODIC_IMAGES:
        raise UnusableCrystalError("too_many_neighbours")


def half_list(lattice: np.ndarray, position: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each pair of atoms within `radius` Å once: from (u,), to (u,), image (u, 3); own images included."""
    from pymatgen.optimization.neighbors import find_points_in_spheres

    # compiled code asks for these very types and for contiguous rows
    cartesian = np.ascontiguousarray(position @ lattice, dtype=np.float64)
    first, second, image, _ = find_points_in_spheres(
        cartesian, cartesian, r=float(radius), pbc=np.ones(3, dtype=np.int64),
        lattice=np.ascontiguousarray(lattice, dtype=np.float64), tol=1e-8,
    )  # fmt: skip
    image = np.rint(image).astype(int)
    a, b, c = image.T
    later = (a > 0) | ((a == 0) & ((b > 0) | ((b == 0) & (c > 0))))
    keep = (first < second) | ((first == second) & later)
    return first[keep], second[keep], image[keep]


@dataclass(frozen=True)
class BondOrbits:
    """Bonds of a cell, each listed once, and which of them are equivalent.

    Directed edge d < u is bond d from its first atom to its second, d + u the same bond back.
    """

    first: np.ndarray  # (u,) atom
    second: np.ndarray  # (u,) atom
    image: np.ndarray  # (u, 3) periodic image of the second
    mapped: np.ndarray  # (g, 2u) where each operation takes each directed edge
    label: np.ndarray  # (2u,) representative of each directed edge's orbit
    bond: np.ndarray  # (b,) one bond of each kind
    bond_of: np.ndarray  # (2u,) kind of each directed edge
    bond_count: np.ndarray  # (b,) bonds of each kind


def bond_orbits(cell: SymmetricCell, lattice: np.ndarray, position: np.ndarray, radius: float) -> BondOrbits:
    """The half list divided by the space group of `cell`, at a geometry that has its symmetry.

    Raises:
        UnusableCrystalError: see `check_cell`.
    """
    check_cell(lattice, position, radius)
    (first, second, image), mapped = _closed(cell, *half_list(lattice, position, radius))
    u = len(first)
    label = mapped.min(axis=0, initial=2 * u)
    # an orbit of directed edges and that of their reverses make one orbit of bonds
    bond, bond_of, bond_count = np.unique(np.minimum(label[:u], label[u:]), return_inverse=True, return_counts=True)
    return BondOrbits(first, second, image, mapped, label, bond, np.concatenate([bond_of, bond_of]), bond_count)


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
