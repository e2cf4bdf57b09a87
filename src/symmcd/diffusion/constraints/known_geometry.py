"""Cells and coordinates of crystals that are given, beside those that a model makes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class KnownGeometry:
    """Given parts of the geometry of B crystals padded to N orbits."""

    k: Tensor  # (B, 6) coefficients of the cells
    cell: Tensor  # (B,) bool: the cell is given
    position: Tensor  # (B, N, 3) fractional, of the representatives in generator form
    orbit: Tensor  # (B, N) bool: the coordinates are given
