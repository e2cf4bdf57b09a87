"""A whole crystal as arrays: all atoms of one cell, whichever cell that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symmcd.crystallography.orbit import Crystals


@dataclass(frozen=True, eq=False)
class Cell:
    """All atoms of one cell of a crystal; nothing is checked (`checks.check_crystal`), and nothing changes an array."""

    lattice: np.ndarray  # (3, 3) rows a, b, c, Å
    element: np.ndarray  # (N,) atomic numbers
    position: np.ndarray  # (N, 3) fractional
    space_group: int | None = None  # number, where it is known and this is the conventional cell in standard setting
    orbit: np.ndarray | None = None  # (N,) index of the orbit of each atom, where it is known

    def __len__(self) -> int:
        return len(self.element)


def cells_of(crystals: Crystals) -> list[Cell]:
    """One cell per crystal, with its orbits."""
    spans = zip(crystals.start[:-1], crystals.start[1:], strict=True)
    return [
        Cell(crystals.lattice[i], crystals.element[a:b], crystals.position[a:b], orbit=crystals.orbit[a:b])
        for i, (a, b) in enumerate(spans)
    ]
