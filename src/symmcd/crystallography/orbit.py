"""Replication: asymmetric unit → conventional cell, each orbit made by operations of its space group."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.lattice import lattice_from_k
from symmcd.crystallography.wyckoff import wyckoff_table


@dataclass(frozen=True)
class Crystals:
    """Conventional cells, atoms one after the other; crystal i has atoms ``start[i]:start[i+1]``."""

    lattice: np.ndarray  # (B, 3, 3) rows a, b, c, Å
    start: np.ndarray  # (B + 1,)
    element: np.ndarray  # (A,) atomic number
    position: np.ndarray  # (A, 3) fractional, [0, 1)
    orbit: np.ndarray  # (A,) index of the orbit in the asymmetric units that made the atom

    def __len__(self) -> int:
        return len(self.lattice)


def replicate_flat(units: AsymmetricUnits) -> Crystals:
    """Conventional cells of asymmetric units (paper, appendix A), atoms of one orbit together, representative first."""
    table = wyckoff_table()
    position, orbit = table.orbit(units.wyckoff, units.position)
    first = np.concatenate([[0], np.cumsum(table.multiplicity[units.wyckoff])])
    return Crystals(lattice_from_k(units.k), first[units.start], units.element[orbit], position, orbit)


def in_unit_cell(units: AsymmetricUnits) -> AsymmetricUnits:
    """The same crystals without their symmetry: in group 1 every atom of the conventional cell is an orbit of its own.

    What the paper compares asymmetric units with (its Table 4): all six k are free and every site symmetry is 1.
    """
    cells = replicate_flat(units)
    return dataclasses.replace(
        units,
        space_group=np.ones(len(units), int),
        start=cells.start,
        element=cells.element,
        wyckoff=np.full(len(cells.element), wyckoff_table().start[0]),  # group 1 has one position, 1a
        position=cells.position,
    )
