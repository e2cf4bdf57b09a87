"""Permutations of Wyckoff letters by the affine normalisers of the space groups, from our own tables.

An affine map n is of the normaliser of G if n G n⁻¹ = G.  Its linear parts are the automorphisms of the lattice of the
crystal family (for oblique axes, matrices of -1, 0 and 1; their letters only depend on them modulo 2), its translations
multiples of 1/8, or of 1/6 and 1/12 in hexagonal cells.  Continuous shifts along polar axes move no letter.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np

from symmcd.crystallography.projection import nearest_on_images
from symmcd.crystallography.space_group import crystal_family, operations
from symmcd.crystallography.wyckoff import wrap, wyckoff_table

SMALL = 1e-9
GENERIC = np.array([0.1234567, 0.2718281, 0.0577215])
"""Free coordinates of a point on no more special position."""


def letter_permutations(space_group: int) -> np.ndarray:
    """(n, letters) the permutations, identity first; row p says which letter (0 = a) each letter becomes."""
    start = wyckoff_table().start
    found = {tuple(range(start[space_group] - start[space_group - 1]))}
    generators = list(_generators(space_group) - found)
    frontier = list(found)
    while frontier:
        products = {tuple(g[i] for i in p) for p in frontier for g in generators}
        frontier = list(products - found)
        found |= products
    return np.array(sorted(found))


def _generators(space_group: int) -> set[tuple[int, ...]]:
    """Permutations by the pure translations of the normaliser, and by one operation for each of its linear parts."""
    group = operations(space_group)
    shifts = _shifts(crystal_family(space_group))
    moves = [
        np.column_stack([np.eye(3), shift]) for shift in shifts[_preserving(group, np.eye(3), shifts)] if shift.any()
    ]
    for linear in _linear_parts(crystal_family(space_group)):
        fitting = np.flatnonzero(_preserving(group, linear, shifts))
        if len(fitting):
            moves.append(np.column_stack([linear, shifts[fitting[0]]]))
    return set(map(tuple, _permutations(space_group, np.array(moves)).tolist())) if moves else set()


def _preserving(group: np.ndarray, linear: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """(S,) bool: x → linear x + shift maps the group to itself under conjugation."""
    rotation = linear @ group[:, :, :3] @ np.linalg.inv(linear)
    fits = np.ones(len(shifts), bool)
    for turned, translation in zip(rotation, group[:, :, 3] @ linear.T, strict=True):
        same = (np.abs(group[:, :, :3] - turned) < SMALL).all(axis=(1, 2))
        # n (R, t) n⁻¹ = (R', W t + w - R' w), for some operation of the group with that R', up to the lattice
        moved = translation + shifts[fits] @ (np.eye(3) - turned).T
        difference = moved[:, None] - group[same][None, :, :, 3]
        fits[fits] = (np.abs(difference - np.rint(difference)) < SMALL).all(axis=2).any(axis=1)
        if not fits.any():
            break
    return fits


def _permutations(space_group: int, moves: np.ndarray) -> np.ndarray:
    """(n, letters) what each of (n, 3, 4) operations of the normaliser makes of each letter."""
    table = wyckoff_table()
    rows = np.arange(table.start[space_group - 1], table.start[space_group])
    point = table.generator[rows, :, :3] @ GENERIC + table.generator[rows, :, 3]
    moved = wrap(np.einsum("nij,pj->npi", moves[:, :, :3], point) + moves[:, None, :, 3])
    found = np.full(moved.shape[:2], -1)
    for target, row in enumerate(rows):
        # from the most special position down: a general one contains every point
        open_ = (found < 0) & ((table.multiplicity[rows] == table.multiplicity[row])
                               & (table.degrees_of_freedom[rows] == table.degrees_of_freedom[row]))[None]  # fmt: skip
        if not open_.any():
            continue
        images = np.arange(table.image_start[row], table.image_start[row + 1])
        points = np.repeat(moved[open_], len(images), axis=0)
        _, squared = nearest_on_images(
            points, np.tile(images, int(open_.sum())), np.broadcast_to(np.eye(3), (len(points), 3, 3))
        )
        found[open_] = np.where((squared < 1e-12).reshape(-1, len(images)).any(axis=1), target, -1)
    assert (found >= 0).all(), f"an operation of the normaliser of group {space_group} loses a position"
    return found


@functools.cache
def _shifts(family: str) -> np.ndarray:
    """(S, 3) translations looked at, zero first."""
    steps = (6, 6, 12) if family == "hexagonal" else (8, 8, 8)
    return np.array(list(itertools.product(*(np.arange(n) / n for n in steps))))


@functools.cache
def _linear_parts(family: str) -> tuple[np.ndarray, ...]:
    """Automorphisms of the lattices of a family, in the basis of the conventional cell."""
    signed = [
        np.diag(signs)[list(order)].astype(float)
        for order in itertools.permutations(range(3))
        for signs in itertools.product((1, -1), repeat=3)
    ]
    if family == "triclinic":  # elementary steps, which generate all modulo 2
        shears = [np.eye(3) + np.outer(np.eye(3)[i], np.eye(3)[j]) for i, j in itertools.permutations(range(3), 2)]
        return tuple(shears + signed)
    if family == "monoclinic":
        found = []
        for a, b, c, d in itertools.product((-1, 0, 1), repeat=4):
            if abs(a * d - b * c) == 1:
                found.append(np.array([[a, 0, b], [0, 1, 0], [c, 0, d]], float))
        return tuple(found)
    if family == "tetragonal":
        return tuple(w for w in signed if abs(w[2, 2]) == 1)
    if family == "hexagonal":
        sixfold, mirror = np.array([[1, -1, 0], [1, 0, 0], [0, 0, 1.0]]), np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1.0]])
        turns = [np.linalg.matrix_power(sixfold, n) for n in range(6)]
        half = turns + [turn @ mirror for turn in turns]
        return tuple(half + [w @ np.diag([1.0, 1, -1]) for w in half])
    return tuple(signed)
