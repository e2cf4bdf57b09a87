"""Nearest points on Wyckoff positions, in Å.

An image of a position is an affine subspace; averaging a point over the operations that fix the image gives the
nearest point of it in *any* metric the group allows.  Only the choice between lattice translates (and between images)
needs the metric, and that is a closest-vector problem in the lattice that remains when the directions along the
subspace are projected out.  It is solved exactly: Babai rounding, neighbours, and where a bound says that these may not
be enough, as in a cell that is all needle or plate, enumeration of what lies within it (Fincke & Pohst 1985).
"""

from __future__ import annotations

import functools
import itertools
from fractions import Fraction

import numpy as np

from symmcd.crystallography.wyckoff import wrap, wyckoff_table


def nearest_on_images(point: np.ndarray, image: np.ndarray, metric: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nearest point of each image, over all lattice translates.

    Args:
        point: (n, 3) fractional.
        image: (n,) rows of the image arrays of the Wyckoff table.
        metric: (n, 3, 3) metric tensor L Lᵀ of the cell, Å².

    Returns:
        The nearest points (n, 3), fractional, not wrapped, and the squared distances (n,) in Å².
    """
    table = wyckoff_table()
    projector = table.image_projector[image]
    residual = point - (projector[:, :, :3] @ point[:, :, None])[..., 0] - projector[:, :, 3]
    basis = _complement_bases()[image]
    rank = _complement_ranks()[image]
    for r in (1, 2, 3):
        rows = np.flatnonzero(rank == r)
        if len(rows):
            residual[rows] = _shortest(residual[rows], basis[rows, :, :r], metric[rows])
    residual[rank == 0] = 0.0
    return point - residual, np.einsum("ni,nij,nj->n", residual, metric, residual)


def nearest_on_positions(
    point: np.ndarray, row: np.ndarray, metric: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nearest point on a position, over all its images: squared distance (n,), image (n,), point (n, 3)."""
    table = wyckoff_table()
    first, count = table.image_start[row], np.diff(table.image_start)[row]
    squared, image, nearest = np.empty(len(row)), np.empty(len(row), int), np.empty((len(row), 3))
    ends = np.cumsum(count)
    for begin, end in _chunks(ends, 200_000):
        owner, candidate = rows_by_owner(first[begin:end], count[begin:end])
        points, distances = nearest_on_images(point[begin:end][owner], candidate, metric[begin:end][owner])
        best = first_smallest(owner, distances, end - begin)
        squared[begin:end], image[begin:end], nearest[begin:end] = distances[best], candidate[best], points[best]
    return squared, image, nearest


def _chunks(ends: np.ndarray, size: int) -> list[tuple[int, int]]:
    """Ranges of owners with about `size` candidates each, from the running totals of their candidates."""
    if not len(ends):
        return []
    cuts = np.unique(np.searchsorted(ends, np.arange(0, ends[-1], size)[1:]))
    bounds = np.unique(np.concatenate([[0], cuts, [len(ends)]])).tolist()
    return list(itertools.pairwise(bounds))


def first_smallest(owner: np.ndarray, value: np.ndarray, owners: int) -> np.ndarray:
    """Index of each owner's smallest value; the first where values agree to 1e-9, so that rounding decides no tie."""
    smallest = np.full(owners, np.inf)
    np.minimum.at(smallest, owner, value)
    good = np.flatnonzero(value <= smallest[owner] + 1e-9)
    _, first = np.unique(owner[good], return_index=True)
    return good[first]


def to_generator_form(point: np.ndarray, image: np.ndarray, wyckoff: np.ndarray) -> np.ndarray:
    """Equivalent points (n, 3) in generator form, exact and in [0, 1), of points that lie on images."""
    table = wyckoff_table()
    operation = table.image_operation[image]
    inverse = np.rint(np.linalg.inv(operation[:, :, :3]))
    moved = (inverse @ (point - operation[:, :, 3])[:, :, None])[..., 0]
    # `moved` may lie on a lattice translate of the generator subspace; the template has integer coefficients and is
    # idempotent, so applying it takes away just that translation
    template = table.generator[wyckoff]
    return wrap((template[:, :, :3] @ moved[:, :, None])[..., 0] + template[:, :, 3])


def _shortest(residual: np.ndarray, basis: np.ndarray, metric: np.ndarray) -> np.ndarray:
    """Shortest vector of residual + basis·Zʳ in the metric, for (n, 3), (n, 3, r), (n, 3, 3)."""
    basis = _pair_reduced(basis, metric)
    weighted = np.swapaxes(basis, 1, 2) @ metric
    inverse = np.linalg.inv(weighted @ basis)
    coefficient = (inverse @ (weighted @ residual[:, :, None]))[..., 0]
    start = residual - (basis @ np.rint(coefficient)[..., None])[..., 0]
    reach = np.sqrt(np.diagonal(inverse, axis1=1, axis2=2)).max(axis=1)  # 1 / Å
    best, squared = _neighbours(start, basis, metric)
    # |m_i - x_i| <= R sqrt(inverse_ii) for any vector shorter than R, and |x_i| <= 1/2 after rounding
    rows = np.flatnonzero(np.floor(np.sqrt(squared) * reach + 0.5) > 1)
    if len(rows):
        best[rows] = _enumerated(best[rows], basis[rows], metric[rows], squared[rows])
    return best


def _pair_reduced(basis: np.ndarray, metric: np.ndarray) -> np.ndarray:
    """The same lattices with bases (n, 3, r) that no multiple of one vector taken from another shortens.

    Conventional cells of crystals are reduced already, or nearly; without this a badly skewed one would need a
    search as wide as it is skewed.
    """
    basis = basis.copy()
    pending = np.arange(len(basis))
    while len(pending):
        part, cells = basis[pending], metric[pending]
        changed = np.zeros(len(pending), bool)
        for i, j in itertools.permutations(range(basis.shape[2]), 2):
            covector = (cells @ part[:, :, j, None])[..., 0]
            steps = np.rint(
                (part[:, :, i] * covector).sum(axis=1) / (part[:, :, j] * covector).sum(axis=1) * (1 - 1e-9)
            )
            part[:, :, i] -= steps[:, None] * part[:, :, j]
            changed |= steps != 0
        basis[pending] = part
        pending = pending[changed]
    return basis


def _neighbours(start: np.ndarray, basis: np.ndarray, metric: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shortest of start + basis·m over all |m_i| <= 1, and the squares of their lengths."""
    steps = np.array(list(itertools.product((-1, 0, 1), repeat=basis.shape[2])), float)
    candidate = start[:, None, :] + np.einsum("nir,mr->nmi", basis, steps)
    squared = ((candidate @ metric) * candidate).sum(axis=2)
    best = squared.argmin(axis=1)
    rows = np.arange(len(start))
    return candidate[rows, best], squared[rows, best]


def _enumerated(start: np.ndarray, basis: np.ndarray, metric: np.ndarray, squared: np.ndarray) -> np.ndarray:
    """Shortest of start + basis·m over all m, given the squares of the lengths of `start`.

    With R the Cholesky factor of the basis' Gram matrix, and x what `start` is in the basis, the length is that of
    R (m + x): a sum of squares of which the last has m_r alone in it, the one before m_{r-1} and m_r.  One m_i after
    the other is chosen so that what is left of `squared` is enough, the longest vector's first: it leaves few choices.
    """
    rank = basis.shape[2]
    length = np.einsum("nji,njk,nki->ni", basis, metric, basis)
    basis = np.take_along_axis(basis, np.argsort(length, axis=1)[:, None], axis=2)
    weighted = np.swapaxes(basis, 1, 2) @ metric
    gram = weighted @ basis
    factor = np.swapaxes(np.linalg.cholesky(gram), 1, 2)
    x = np.linalg.solve(gram, weighted @ start[:, :, None])[..., 0]
    owner, step, spent = np.arange(len(start)), np.zeros((len(start), rank)), np.zeros(len(start))
    for i in reversed(range(rank)):
        row = factor[owner, i]
        centre = -x[owner, i] - ((step + x[owner]) * row)[:, i + 1 :].sum(axis=1) / row[:, i]
        half = np.sqrt(np.maximum(squared[owner] * (1 + 1e-9) - spent, 0)) / row[:, i]
        first = np.ceil(centre - half)
        count = np.maximum(np.floor(centre + half) - first + 1, 0).astype(int)
        parent, choice = rows_by_owner(first, count)
        step = step[parent]
        step[:, i] = choice
        spent = spent[parent] + (row[parent, i] * (step[:, i] - centre[parent])) ** 2
        owner = owner[parent]
    candidate = start[owner] + (basis[owner] @ step[:, :, None])[..., 0]
    candidate_squared = np.einsum("ni,nij,nj->n", candidate, metric[owner], candidate)
    order = np.lexsort((candidate_squared, owner))
    shortest = order[np.unique(owner[order], return_index=True)[1]]
    better = shortest[candidate_squared[shortest] < squared[owner[shortest]] * (1 - 1e-9)]
    best = start.copy()
    best[owner[better]] = candidate[better]
    return best


def rows_by_owner(first: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every (owner, row) with row in first[owner] … first[owner] + count[owner] - 1, owner by owner."""
    owner = np.repeat(np.arange(len(first)), count)
    offset = np.cumsum(count) - count
    return owner, np.arange(len(owner)) - offset[owner] + first[owner]


@functools.cache
def _complement_ranks() -> np.ndarray:
    table = wyckoff_table()
    return 3 - np.repeat(table.degrees_of_freedom, np.diff(table.image_start))


@functools.cache
def _complement_bases() -> np.ndarray:
    """(I, 3, 3) columns: a basis of the lattice (1 - Q) Z³ of each image, padded with zeros."""
    table = wyckoff_table()
    first = table.image_projector[table.image_start[:-1], :, :3]
    twelfths, same = np.unique(
        np.rint((np.eye(3) - first) * 12).astype(int).reshape(-1, 9), axis=0, return_inverse=True
    )
    bases = np.array([_lattice_basis(tuple(row)) for row in twelfths.tolist()])[same.ravel()]
    owner = np.repeat(np.arange(len(first)), np.diff(table.image_start))
    return table.image_operation[:, :, :3] @ bases[owner]


def _lattice_basis(twelfths: tuple[int, ...]) -> np.ndarray:
    """Basis (columns, zero-padded) of the lattice spanned by the columns of a 3×3 matrix, given times twelve."""
    columns = [list(twelfths[j::3]) for j in range(3)]
    basis: list[list[int]] = []
    for axis in range(3):  # Euclid on one coordinate after the other
        while sum(bool(c[axis]) for c in columns) > 1:
            columns.sort(key=lambda c: (c[axis] == 0, abs(c[axis])))
            pivot = columns[0]
            columns = [pivot] + [
                [v - c[axis] // pivot[axis] * p for v, p in zip(c, pivot, strict=True)] for c in columns[1:]
            ]
        columns.sort(key=lambda c: c[axis] == 0)
        if columns and columns[0][axis]:
            basis.append(columns.pop(0))
    padded = basis + [[0, 0, 0]] * (3 - len(basis))
    return np.array([[float(Fraction(v, 12)) for v in column] for column in padded]).T
