"""Symmetry elements of operations, and the codes of space groups and sites that are made of them.

Operations are (3, 4) matrices [W | w] acting on fractional column vectors, the first of a group being the identity.
`tools/make_tables.py` writes the codes as texts into the tables, and the tests ask the same of spglib's operations.
"""

from __future__ import annotations

import itertools

import numpy as np

from symmcd.crystallography.site_symmetry import SYMBOLS
from symmcd.crystallography.space_group import AXES, ELEMENTS

ORDERS = (2, 3, 4, 6, -2, -3, -4, -6)
ORDER_OF = {(1, 3): 1, (1, -1): 2, (1, 0): 3, (1, 1): 4, (1, 2): 6, (-1, -3): -1, (-1, 1): -2, (-1, 0): -3,
            (-1, -1): -4, (-1, -2): -6}  # fmt: skip
"""Order by determinant and trace, negative for rotoinversions: -2 is a mirror."""


def classify(rotations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Order and axis of integer rotation parts.

    Args:
        rotations: (n, 3, 3) in any lattice basis.

    Returns:
        order (n,), negative for rotoinversions, and axis (n,), the row of `AXES` (-1 for 1 and -1).
    """
    rotations = np.rint(rotations).astype(int)
    determinant = np.rint(np.linalg.det(rotations)).astype(int)
    trace = np.trace(rotations, axis1=1, axis2=2)
    order = np.array([ORDER_OF[d, t] for d, t in zip(determinant.tolist(), trace.tolist(), strict=True)])
    proper = rotations * determinant[:, None, None]
    total, power = np.zeros_like(proper), np.broadcast_to(np.eye(3, dtype=int), proper.shape)
    for _ in range(12):  # a common multiple of all orders: the sum projects onto the axis
        total, power = total + power, power @ proper
    column = np.abs(total).sum(axis=1).argmax(axis=1)
    direction = np.take_along_axis(total, column[:, None, None], axis=2)[:, :, 0]
    parallel = (np.cross(direction[:, None, :], AXES[None]) == 0).all(axis=2)
    return order, np.where(np.abs(order) == 1, -1, parallel.argmax(axis=1))


def space_group_code(operations: np.ndarray) -> np.ndarray:
    """(15, 26) flags: which of `ELEMENTS` a group has along each axis (paper, section 4.2).

    Elements are those of the representative operations, the first listed of each rotation part: those that
    International Tables list before adding the centring translations.  1 and -1 stand along every axis.

    Args:
        operations: (n, 3, 4) of the conventional cell, centring translations included.
    """
    order, axis = classify(operations[:, :, :3])
    centring = operations[(np.abs(operations[:, :, :3] - np.eye(3)) < 1e-9).all(axis=(1, 2)), :, 3]
    code = np.zeros((len(AXES), len(ELEMENTS)), np.uint8)
    code[:, 0] = 1
    _, first = np.unique(operations[:, :, :3], axis=0, return_index=True)
    for i in np.sort(first):
        if order[i] == -1:
            code[:, 1] = 1
        elif order[i] != 1:
            code[axis[i], ELEMENTS.index(_element(operations[i], order[i], AXES[axis[i]], centring))] = 1
    return code


def _element(operation: np.ndarray, order: int, axis: np.ndarray, centring: np.ndarray) -> str:
    """Symbol of the symmetry element of one operation that is neither identity nor inversion."""
    rotation, translation = operation[:, :3], operation[:, 3]
    if order < -2:
        return str(order)
    period = abs(order)
    power, intrinsic = np.eye(3), np.zeros(3)
    for _ in range(period):
        intrinsic, power = intrinsic + power @ translation / period, power @ rotation
    if order == -2:
        return _glide(intrinsic)
    step = _shortest_translation(axis, centring)
    along = float(intrinsic @ axis) / float(axis @ axis) / step
    probe = next(v for v in np.eye(3) if np.any(np.cross(v, axis)))
    if period > 2 and np.linalg.det(np.stack([probe, rotation @ probe, axis])) < 0:
        along = -along
    screw = round(along * period) % period
    return f"{period}_{screw}" if screw else str(period)


def _glide(intrinsic: np.ndarray) -> str:
    shift = np.rint((intrinsic % 1) * 12).astype(int) % 12
    if not shift.any():
        return "m"
    if np.any(shift % 6):
        return "d"
    half = tuple(shift == 6)
    return {(True, False, False): "a", (False, True, False): "b", (False, False, True): "c"}.get(half, "n")


def _shortest_translation(axis: np.ndarray, centring: np.ndarray) -> float:
    """Length of the shortest lattice translation along `axis`, in units of `axis`."""
    steps = []
    for translation, denominator in itertools.product(centring, (1, 2, 3)):
        difference = axis / denominator - translation
        if np.allclose(difference, np.rint(difference)):
            steps.append(1 / denominator)
    return min(steps)


def site_code(rotations: np.ndarray) -> np.ndarray:
    """(15,) index into `site_symmetry.SYMBOLS` of a site along each axis, from its stabiliser.

    Args:
        rotations: (n, 3, 3) rotation parts of all operations that fix the site.
    """
    order, axis = classify(rotations)
    has = np.zeros((len(AXES), len(ORDERS)), bool)
    turns = np.abs(order) != 1
    has[axis[turns], [ORDERS.index(value) for value in order[turns].tolist()]] = True
    two, three, four, six, mirror, bar3, bar4, bar6 = has.T
    conditions = [six & mirror, four & mirror, bar3, six, bar6, four, bar4, two & mirror, three, two, mirror]
    symbols = ["6/m", "4/m", "-3", "6", "-6", "4", "-4", "2/m", "3", "2", "m"]
    return np.select(conditions, [SYMBOLS.index(s) for s in symbols], default=int((order == -1).any())).astype(np.uint8)
