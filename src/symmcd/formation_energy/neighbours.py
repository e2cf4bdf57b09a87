"""Neighbours of the atoms of one crystal: a periodic multigraph, or what its symmetry leaves of it.

The multigraph has an edge to each image of an atom among the nearest of a centre (Xie & Grossman, PRL 120, 145301).
Features of DimeNet++ are invariant, so equivalent atoms have the same features, and so have edges that the site
symmetry of their centre maps onto each other.  One node per orbit and one edge per class, with its count, give exactly
the result of all atoms of the cell; only angles must be measured in the frame of the atom between whose neighbours they
lie.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from symmcd.crystallography.space_group import operations
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.errors import InputError

COINCIDENT = 0.01
"""Å: what is nearer than this is the atom itself (Open Catalyst's limit, and CDVAE's)."""
SAME_SHELL = 1e-3
"""Å: atoms this much farther than the last one kept are kept too, so that no shell is cut by rounding."""
MOST_IMAGES = 4_000_000
"""Distances of one crystal; a flat cell would have billions."""
_GENERIC = np.sqrt([2.0, 3.0, 5.0])


class NoGraphError(InputError):
    """A crystal without a graph; `reason` is short and fixed."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


@dataclass(frozen=True)
class Neighbours:
    """Edges of one crystal, sorted by centre, and the arms they stand for.

    An arm is the vector from a node to one neighbouring atom.  An edge is a class of equivalent arms at its node.
    """

    centre: np.ndarray  # (E,) node
    source: np.ndarray  # (E,) node that the neighbour is equivalent to
    count: np.ndarray  # (E,) arms of the class
    length: np.ndarray  # (E,) Å
    seen: np.ndarray  # (E, 3) Å, vector from centre to neighbour in the frame where the neighbour's arms are its node's
    arm_centre: np.ndarray  # (F,) node
    arm_edge: np.ndarray  # (F,) its class
    arm: np.ndarray  # (F, 3) Å


def nearest_images(
    lattice: np.ndarray, centres: np.ndarray, atoms: np.ndarray, cutoff: float, nearest: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The `nearest` atoms of each centre within `cutoff`, and all that are as far as the last of them.

    Args:
        lattice: (3, 3) rows, Å.
        centres, atoms: (M, 3), (N, 3) fractional.
        cutoff: Å.
        nearest: neighbours of a centre; 0 = all.

    Returns:
        centre (F,), sorted; atom (F,); fractional vector (F, 3) from centre to the atom's image.

    Raises:
        NoGraphError: not_finite, flat_cell, or too_many_images.
    """
    if not (np.isfinite(lattice).all() and np.isfinite(atoms).all() and np.isfinite(centres).all()):
        raise NoGraphError("not_finite", "a coordinate or the cell is infinite or NaN")
    volume = abs(float(np.linalg.det(lattice)))
    if volume < 1e-3:
        raise NoGraphError("flat_cell", f"volume {volume:.2g} Å³")
    heights = volume / np.linalg.norm(np.cross(lattice[[1, 2, 0]], lattice[[2, 0, 1]]), axis=1)
    reach = np.floor(cutoff / heights + 0.5)
    if len(centres) * len(atoms) * np.prod(2 * reach + 1) > MOST_IMAGES:
        raise NoGraphError("too_many_images", f"cell of {len(atoms)} atoms with heights {heights.round(2)} Å")
    images = np.array(list(itertools.product(*(range(-int(r), int(r) + 1) for r in reach))), float)
    difference = atoms[None] - centres[:, None]
    difference -= np.rint(difference)
    # |d + n|² = |d|² + 2 d·G·n + |n|², without an array of vectors
    metric = lattice @ lattice.T
    squared = (
        np.einsum("mni,ij,mnj->mn", difference, metric, difference)[..., None]
        + 2 * (difference @ metric) @ images.T
        + np.einsum("ki,ij,kj->k", images, metric, images)
    )
    centre, atom, image = np.nonzero((squared < cutoff**2) & (squared > COINCIDENT**2))
    length = np.sqrt(squared[centre, atom, image])
    order = np.lexsort((length, centre))
    centre, atom, image, length = centre[order], atom[order], image[order], length[order]
    if nearest:
        number = np.bincount(centre, minlength=len(centres))
        first = np.cumsum(number) - number
        last = length[(first + np.minimum(number, nearest) - 1)[number > 0]]
        keep = length <= np.repeat(last, number[number > 0]) + SAME_SHELL
        centre, atom, image = centre[keep], atom[keep], image[keep]
    return centre, atom, difference[centre, atom] + images[image]


def asymmetric_unit_neighbours(lattice: np.ndarray, position: np.ndarray, cutoff: float, nearest: int) -> Neighbours:
    """Neighbours among the representatives alone and their images by the lattice: every atom a node, every arm an edge.

    Raises:
        NoGraphError: see `nearest_images`.
    """
    centre, source, difference = nearest_images(lattice, position, position, cutoff, nearest)
    arm = difference @ lattice
    every = np.arange(len(arm))
    return Neighbours(centre, source, np.ones(len(arm)), np.linalg.norm(arm, axis=1), arm, centre, every, arm)


def multigraph_neighbours(
    lattice: np.ndarray,
    space_group: int,
    wyckoff: np.ndarray,
    position: np.ndarray,
    atoms: np.ndarray,
    orbit: np.ndarray,
    cutoff: float,
    nearest: int | None,
) -> Neighbours:
    """The multigraph of all atoms, divided by the space group: one node per orbit.

    Args:
        lattice: (3, 3) rows of the conventional cell, Å.
        space_group: 1..230.
        wyckoff: (M,) rows of the Wyckoff table.
        position: (M, 3) representatives in generator form.
        atoms: (N, 3) of the conventional cell, in the order of `replicate_flat`.
        orbit: (N,) 0..M-1.
        cutoff: Å.
        nearest: neighbours of an atom; 0 = all within the cutoff; None = those that CrystalNN bonds it to.

    Raises:
        NoGraphError: see `nearest_images`; or a reason of CrystalNN's.
    """
    group, table = operations(space_group), wyckoff_table()
    # atom a is operation W of its representative
    start = np.concatenate([[0], np.cumsum(np.bincount(orbit, minlength=len(position)))])
    turn = table.operations[table.operation_start[wyckoff[orbit]] + np.arange(len(orbit)) - start[orbit]][:, :, :3]
    if nearest is None:
        centre, atom, difference = bonds(lattice, position, atoms, orbit, turn, group)
    else:
        centre, atom, difference = nearest_images(lattice, position, atoms, cutoff, nearest)
    arm, source = difference @ lattice, orbit[atom]
    length = np.linalg.norm(arm, axis=1)
    edge = np.empty(len(arm), int)
    kept: list[np.ndarray] = []
    count: list[np.ndarray] = []
    bounds = np.searchsorted(centre, np.arange(len(position) + 1))
    for node, (first, last) in enumerate(itertools.pairwise(bounds)):
        here = slice(first, last)
        moved = difference[here] @ stabiliser(group, position[node]).transpose(0, 2, 1)
        # a generic projection, smallest over the stabiliser, names the class; a class split by rounding does no harm
        name = np.stack([source[here], length[here].round(4), (moved @ _GENERIC).min(axis=0).round(7)], axis=1)
        _, index, class_of, number = np.unique(name, axis=0, return_index=True, return_inverse=True, return_counts=True)
        edge[here] = class_of.ravel() + sum(map(len, kept))
        kept.append(first + index)
        count.append(number)
    chosen = np.concatenate(kept)
    # seen from the frame of the neighbour's representative a vector v is W⁻¹ v
    seen = np.linalg.solve(turn[atom[chosen]], difference[chosen][..., None])[..., 0] @ lattice
    return Neighbours(centre[chosen], source[chosen], np.concatenate(count), length[chosen], seen, centre, edge, arm)


def stabiliser(group: np.ndarray, position: np.ndarray) -> np.ndarray:
    """(g, 3, 3) rotations of the operations that leave a fractional position where it is, up to the lattice."""
    moved = group[:, :, :3] @ position + group[:, :, 3] - position
    return group[(np.abs(moved - np.rint(moved)) < 1e-6).all(axis=1), :, :3]


def bonds(
    lattice: np.ndarray,
    position: np.ndarray,
    atoms: np.ndarray,
    orbit: np.ndarray,
    turn: np.ndarray,
    group: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bonds of each representative, as CDVAE's graphs have them: CrystalNN's, found from either end.

    CrystalNN without weights for electronegativity, distance and pores: faces of the Voronoi cell by solid angle, as
    many as the likeliest coordination number (Pan et al., Inorg. Chem. 60, 1590).

    Args:
        lattice, position, atoms, orbit: as in `multigraph_neighbours`.
        turn: (N, 3, 3) rotation that takes the representative to each atom.
        group: (n, 3, 4) operations.

    Returns:
        As `nearest_images`.

    Raises:
        NoGraphError: no closed Voronoi cell, or atoms that coincide.
    """
    from symmcd.metrics.coordination import FingerprintError, coordination_shares, voronoi_faces

    inverse = np.linalg.inv(lattice)
    first = np.searchsorted(orbit, np.arange(len(position)))  # the atom that each representative is
    differences: list[list[np.ndarray]] = [[] for _ in position]
    for node, site in enumerate(first):
        try:
            vectors, _, angle, _ = voronoi_faces(lattice, atoms, np.ones(len(atoms), int), int(site))
        except FingerprintError as error:
            raise NoGraphError(error.reason, error.detail) from None
        weight = np.round(angle / angle.max(), 3)
        shares = coordination_shares(weight)
        number, share = max(shares, key=lambda pair: pair[1])
        bonded = np.argsort(-weight, kind="stable")[: number if share >= 1 - sum(s for _, s in shares) else 0]
        for difference in vectors[bonded] @ inverse:
            other = _atom_at(position[node] + difference, atoms)
            differences[node].append(difference)
            differences[orbit[other]].append(-np.linalg.solve(turn[other], difference))
    centre, atom, all_of = [], [], []
    for node, some in enumerate(differences):
        if some:
            moved = (np.array(some) @ stabiliser(group, position[node]).transpose(0, 2, 1)).reshape(-1, 3)
            _, kept = np.unique(moved.round(4) + 0.0, axis=0, return_index=True)
            all_of.append(moved[kept])
            centre.append(np.full(len(kept), node))
            atom.append(np.array([_atom_at(position[node] + difference, atoms) for difference in moved[kept]]))
    none = np.zeros(0, int)
    return np.concatenate([none, *centre]), np.concatenate([none, *atom]), np.concatenate([np.zeros((0, 3)), *all_of])


def _atom_at(position: np.ndarray, atoms: np.ndarray) -> int:
    """The atom of the cell whose image is at a fractional position."""
    away = position - atoms
    return int(np.abs(away - np.rint(away)).max(axis=1).argmin())
