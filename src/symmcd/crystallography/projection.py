"""Nearest points on Wyckoff positions, in Å.

An image of a position is an affine subspace; averaging a point over the operations that fix the image gives the
nearest point of it in *any* metric the group allows.  Only the choice between lattice translates (and between images)
needs the metric, and that is a closest-vector problem in the lattice that remains when the directions along the
subspace are projected out.  It is solved exactly: Babai rounding, neighbours, and a bound that says how far to look.
"""

from __future__ import annotations

import functools
import itertools
from fractions import Fraction

import numpy as np

from symmcd.crystallography.wyckoff import wyckoff_table


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


def _shortest(residual: np.ndarray, basis: np.ndarray, metric: np.ndarray) -> np.ndarray:
    """Shortest vector of residual + basis·Zʳ in the metric, for (n, 3), (n, 3, r), (n, 3, 3)."""
    rank = basis.shape[2]
    basis = _pair_reduced(basis, metric)
    weighted = np.swapaxes(basis, 1, 2) @ metric
    inverse = np.linalg.inv(weighted @ basis)
    coefficient = (inverse @ (weighted @ residual[:, :, None]))[..., 0]
    start = residual - (basis @ np.rint(coefficient)[..., None])[..., 0]
    reach = np.sqrt(np.diagonal(inverse, axis1=1, axis2=2)).max(axis=1)  # 1 / Å
    best, squared = _search(start, basis, metric, 1)
    # |m_i - x_i| <= R sqrt(inverse_ii) for any vector shorter than R, and |x_i| <= 1/2 after rounding
    width = np.floor(np.sqrt(squared) * reach + 0.5).astype(int)
    for wider in np.unique(width[width > 1]):
        rows = np.flatnonzero(width == wider)
        chunk = max(1, 2_000_000 // (2 * int(wider) + 1) ** rank)
        for i in range(0, len(rows), chunk):
            part = rows[i : i + chunk]
            best[part], _ = _search(start[part], basis[part], metric[part], int(wider))
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


def _search(start: np.ndarray, basis: np.ndarray, metric: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Shortest of start + basis·m over all |m_i| <= width."""
    steps = np.array(list(itertools.product(range(-width, width + 1), repeat=basis.shape[2])), float)
    candidate = start[:, None, :] + np.einsum("nir,mr->nmi", basis, steps)
    squared = ((candidate @ metric) * candidate).sum(axis=2)
    best = squared.argmin(axis=1)
    rows = np.arange(len(start))
    return candidate[rows, best], squared[rows, best]


@functools.cache
def _complement_ranks() -> np.ndarray:
    table = wyckoff_table()
    return 3 - np.repeat(table.degrees_of_freedom, np.diff(table.image_start))


@functools.cache
def _complement_bases() -> np.ndarray:
    """(I, 3, 3) columns: a basis of the lattice (1 - Q) Z³ of each image, padded with zeros."""
    table = wyckoff_table()
    first = table.image_projector[table.image_start[:-1], :, :3]
    bases = np.array([_lattice_basis(tuple(np.rint((np.eye(3) - q) * 12).astype(int).ravel().tolist())) for q in first])
    owner = np.repeat(np.arange(len(first)), np.diff(table.image_start))
    return table.image_operation[:, :, :3] @ bases[owner]


@functools.cache
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
