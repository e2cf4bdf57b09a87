"""Energies of crystals as they are, many in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
from symmcd.crystallography.symmetric_cell import SymmetricCell
from symmcd.potentials.potential import Point, Potential, Request, WrongAnswerError, answers


@dataclass(frozen=True)
class Energy:
    """Energy in eV/atom, or None with the reason as status ``failed:<reason>``."""

    status: str  # ok | failed:<reason>
    value: float | None = None


def energies(units: Sequence[AsymmetricUnit], potential: Potential) -> list[Energy]:
    """Energy of each crystal; those that the potential cannot take get a status instead.

    Args:
        units: crystals, all computed at once: memory grows with their orbits.
        potential: whose energies they are.

    Raises:
        WrongAnswerError: the potential has a defect.
    """
    points = answers(potential, [_request(SymmetricCell(unit)) for unit in units], forces=False)
    for point in points:
        if isinstance(point, WrongAnswerError):
            raise point
    return [Energy("ok", point.energy) if isinstance(point, Point) else Energy(f"failed:{point}") for point in points]


def _request(cell: SymmetricCell) -> Request:
    return Request(*cell.geometry(cell.start), cell.element, symmetry=cell)
