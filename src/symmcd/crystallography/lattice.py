"""Lattice ↔ k: six coefficients of the symmetric matrix S with cell = exp(S) up to a rotation (paper, appendix B).

Cells are (3, 3) arrays whose *rows* are a, b, c in Å.  S = ½ log(L Lᵀ), with L Lᵀ the metric tensor, so a rotation of
the crystal changes nothing, and cell and k determine each other for every crystal family.
"""

from __future__ import annotations

import functools

import numpy as np

from symmcd.crystallography.space_group import family_index

BASIS = np.array(
    [
        [[0, 1, 0], [1, 0, 0], [0, 0, 0]],
        [[0, 0, 1], [0, 0, 0], [1, 0, 0]],
        [[0, 0, 0], [0, 0, 1], [0, 1, 0]],
        [[1, 0, 0], [0, -1, 0], [0, 0, 0]],
        [[1, 0, 0], [0, 1, 0], [0, 0, -2]],
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    ],
    dtype=float,
)
"""(6, 3, 3) orthogonal basis of the symmetric matrices."""

_NORM = (BASIS**2).sum(axis=(1, 2))

# per crystal family, in the order of space_group.FAMILIES: which coefficients are free
_FREE = np.array(
    [
        [1, 1, 1, 1, 1, 1],
        [0, 1, 0, 1, 1, 1],
        [0, 0, 0, 1, 1, 1],
        [0, 0, 0, 0, 1, 1],
        [0, 0, 0, 0, 1, 1],
        [0, 0, 0, 0, 0, 1],
    ],
    dtype=bool,
)
HEXAGONAL_K1 = -np.log(3) / 4  # with rows a, b: gamma = 120°


@functools.cache
def free_coefficients() -> np.ndarray:
    """(230, 6) bool: coefficients that the space group leaves free."""
    free = _FREE[[family_index(number) for number in range(1, 231)]]
    free.setflags(write=False)
    return free


@functools.cache
def fixed_coefficients() -> np.ndarray:
    """(230, 6): value of each coefficient that is not free, 0 elsewhere."""
    fixed = np.zeros((230, 6))
    fixed[142:194, 0] = HEXAGONAL_K1
    fixed.setflags(write=False)
    return fixed


def constrain(k: np.ndarray, space_group: np.ndarray) -> np.ndarray:
    """k with the entries that its space group fixes put in.  k (B, 6), space_group (B,)."""
    return np.where(free_coefficients()[space_group - 1], k, fixed_coefficients()[space_group - 1])


def lattice_from_k(k: np.ndarray) -> np.ndarray:
    """Cells (B, 3, 3), rows a, b, c in Å, in the standard orientation: a along x, b in the xy plane, c_z > 0.

    k is (B, 6).  The symmetric cell exp(S) is turned by a rotation; lengths and angles are those of exp(S).
    """
    values, vectors = np.linalg.eigh(np.einsum("bi,ijk->bjk", k, BASIS))
    metric = (vectors * np.exp(2 * values)[:, None, :]) @ np.swapaxes(vectors, 1, 2)
    return np.linalg.cholesky(metric)


def k_from_lattice(lattice: np.ndarray) -> np.ndarray:
    """k (B, 6) of cells (B, 3, 3) with rows a, b, c in Å, in any orientation."""
    values, vectors = np.linalg.eigh(lattice @ np.swapaxes(lattice, 1, 2))
    log = (vectors * (np.log(values) / 2)[:, None, :]) @ np.swapaxes(vectors, 1, 2)
    return np.einsum("bjk,ijk->bi", log, BASIS) / _NORM


def lengths_and_angles(lattice: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths (B, 3) in Å and angles alpha, beta, gamma (B, 3) in degrees of cells (B, 3, 3)."""
    length = np.linalg.norm(lattice, axis=2)
    cosine = [
        (lattice[:, i] * lattice[:, j]).sum(axis=1) / (length[:, i] * length[:, j]) for i, j in ((1, 2), (0, 2), (0, 1))
    ]
    return length, np.degrees(np.arccos(np.clip(np.stack(cosine, axis=1), -1, 1)))
