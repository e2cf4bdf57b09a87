"""Site-symmetry codes: for each of 15 axes, which of 13 symmetry symbols a site has along it (paper, section 4.2).

A code is stored as 15 class indices into `SYMBOLS`; one-hot it is the paper's 15×13 matrix.
"""

from __future__ import annotations

import numpy as np

from symmcd.crystallography.space_group import AXES

SYMBOLS = ("1", "-1", "2", "m", "3", "4", "-4", "2/m", "-3", "6", "-6", "4/m", "6/m")
"""Symbols of one axis; ``1`` also stands for an axis without any element, ``-1`` for none but the inversion."""

_ORDERS = (2, 3, 4, 6, -2, -3, -4, -6)


def element_matrix(order: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """(n, 15, 9) flags: which element each operation is (orders 2, 3, 4, 6, m, -3, -4, -6, then the inversion)."""
    flags = np.zeros((len(order), len(AXES), len(_ORDERS) + 1), bool)
    for column, value in enumerate(_ORDERS):
        rows = np.flatnonzero(order == value)
        flags[rows, axis[rows], column] = True
    flags[order == -1, :, -1] = True
    return flags


def codes(elements: np.ndarray) -> np.ndarray:
    """Class indices of sites from the elements of their stabilisers.

    Args:
        elements: (n, 15, 9) flags, the union of `element_matrix` over each stabiliser.

    Returns:
        (n, 15) uint8, indices into `SYMBOLS`.
    """
    two, three, four, six, mirror, bar3, bar4, bar6, inversion = np.moveaxis(elements.astype(bool), -1, 0)
    conditions = [six & mirror, four & mirror, bar3, six, bar6, four, bar4, two & mirror, three, two, mirror, inversion]
    symbols = ["6/m", "4/m", "-3", "6", "-6", "4", "-4", "2/m", "3", "2", "m", "-1"]
    return np.select(conditions, [SYMBOLS.index(s) for s in symbols], default=0).astype(np.uint8)
