"""CHGNet energies of crystals as they are: of each the graph divided by its space group, many in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
from symmcd.stability.batched_potential import BatchedPotential, Request
from symmcd.stability.neighbours import NeighbourList
from symmcd.stability.potential import UnusableCrystalError
from symmcd.stability.quotient import quotient_topology
from symmcd.stability.symmetric_cell import SymmetricCell


@dataclass(frozen=True)
class Energy:
    """Energy in eV/atom, or None with the reason as status ``failed:<reason>``."""

    status: str  # ok | failed:<reason>
    value: float | None = None


def energies(units: Sequence[AsymmetricUnit], model: Any) -> list[Energy]:
    """Energy of each crystal; those that CHGNet cannot take get a status instead.

    Args:
        units: crystals, all computed at once: memory grows with their orbits.
        model: what `potential.load_chgnet` returned.
    """
    cells = [SymmetricCell(unit) for unit in units]
    points = BatchedPotential(model).evaluate([_request(cell) for cell in cells])
    return [
        Energy(f"failed:{point}")
        if isinstance(point, UnusableCrystalError)
        else Energy("ok", point.energy / len(cell.element))
        for cell, point in zip(cells, points, strict=True)
    ]


def _request(cell: SymmetricCell) -> Request:
    neighbours = NeighbourList(cell.element, lambda lattice, position, _: quotient_topology(lattice, position, cell))
    return Request(*cell.geometry(cell.start), neighbours)
