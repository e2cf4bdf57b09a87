"""Energies of crystals as they are, many in one call, and a second opinion of relaxed ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
from symmcd.crystallography.symmetric_cell import SymmetricCell
from symmcd.potentials.potential import Point, Potential, Request, UnusableCrystalError
from symmcd.stability.outcome import nonsense, stop_if_all_fail_alike
from symmcd.stability.single_points import computed


@dataclass(frozen=True)
class Energy:
    """Energy in eV/atom, or None with the reason as status ``failed:<reason>``."""

    status: str  # ok | failed:<reason>, of an error that nobody foresaw its kind
    value: float | None = None
    error: Exception | None = field(default=None, compare=False)  # that one


def energies(units: Sequence[AsymmetricUnit], potential: Potential, *, proven: bool = False) -> list[Energy]:
    """Energy of each crystal; those that the potential cannot take, or fails with, get a status instead.

    Args:
        units: crystals, all computed at once: memory grows with their orbits.
        potential: whose energies they are.
        proven: it has computed other crystals, so that an error is a matter of these, be it the same for all.

    Raises:
        Exception: without `proven`, an unforeseen error that is the same for all of several crystals.  A device that is
            lost, at any time.
    """
    requests: dict[int, Request] = {}
    found: dict[int, Point | Exception] = {}
    for index, unit in enumerate(units):
        try:
            requests[index] = _request(SymmetricCell(unit))
        except Exception as error:  # noqa: BLE001  (as in `single_points.computed`)
            found[index] = error
    if requests:
        found |= zip(requests, computed(potential, list(requests.values()), forces=False), strict=True)
    points = [found[index] for index in range(len(units))]
    if not proven:
        stop_if_all_fail_alike([None if isinstance(point, Point) else point for point in points])
    return [_energy(point) for point in points]


def second_opinions(units: Sequence[AsymmetricUnit], shortest: Sequence[float], potential: Potential) -> list[Energy]:
    """Energies of relaxed crystals by a potential that did not relax them; none where its value means nothing.

    Args:
        units: (B,) relaxed crystals, computed `potential.batch_size` at once.
        shortest: (B,) distance between their atoms, Å.
        potential: the other one.

    Raises:
        Exception: an unforeseen error that is the same for all crystals of the first call, if there are several.
    """
    found: list[Energy] = []
    for start in range(0, len(units), potential.batch_size):
        found += energies(units[start : start + potential.batch_size], potential, proven=start > 0)
    return [_sane(*one, potential) for one in zip(found, units, shortest, strict=True)]


def _sane(energy: Energy, unit: AsymmetricUnit, shortest: float, potential: Potential) -> Energy:
    """`energy`, or why it means nothing."""
    if energy.value is None:
        return energy
    why = nonsense(energy.value - potential.zero(unit.element.repeat(unit.multiplicity)), shortest)
    return Energy(why) if why else energy


def _energy(point: Point | Exception) -> Energy:
    if isinstance(point, Point):
        return Energy("ok", point.energy)
    if isinstance(point, UnusableCrystalError):
        return Energy(f"failed:{point}")
    return Energy(f"failed:{type(point).__name__}", error=point)


def _request(cell: SymmetricCell) -> Request:
    return Request(*cell.geometry(cell.start), cell.element, symmetry=cell)
