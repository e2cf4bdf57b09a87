"""Classes of compositions, and a test whether anybody would want to make them."""

from __future__ import annotations

import numpy as np

from symmcd.crystallography.composition import NUMBERS
from symmcd.stability_model.features import CLASSES

CHEMISTRIES = ("oxides", "halides", "chalcogenides", "pnictides", "light", "intermetallics")
"""Each composition is of the first that fits: it contains O; F, Cl, Br or I; S, Se or Te; N, P, As, Sb or Bi; H, B or
C; none of these."""
_MARKS = (CLASSES["oxygen"], CLASSES["halogens"], CLASSES["chalcogens"], CLASSES["pnictogens"], "H B C")


def chemistry(counts: np.ndarray) -> np.ndarray:
    """(B,) index into `CHEMISTRIES`, of atoms of each element (B, 119)."""
    has = np.stack([_contains(counts, marks) for marks in _MARKS] + [np.ones(len(counts), bool)])
    return has.argmax(axis=0)


def has_lanthanides(counts: np.ndarray) -> np.ndarray:
    """(B,) bool, of atoms of each element (B, 119): lanthanum to lutetium."""
    return _contains(counts, CLASSES["lanthanides"])


def _contains(counts: np.ndarray, symbols: str) -> np.ndarray:
    return np.any(counts[:, [NUMBERS[symbol] for symbol in symbols.split()]] > 0, axis=1)
