"""Many relaxations advancing together: one call of the potential per step for all, finished ones make room."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from pymatgen.core import Structure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
from symmcd.potentials.potential import FLAT, Point, Potential, UnusableCrystalError, calls, check_elements
from symmcd.stability.constrained import SymmetricRelaxation
from symmcd.stability.fire import FireRelaxation
from symmcd.stability.geometry import primitive_cell
from symmcd.stability.in_progress import InProgress, Relaxing
from symmcd.stability.outcome import (
    Limits,
    Relaxation,
    stop_if_all_fail_alike,
    unusable,
)
from symmcd.stability.single_points import computed
from symmcd.structures.convert import without_decoration
from symmcd.structures.crystal import StructureError


def relax_many(
    crystals: Iterable[Structure | AsymmetricUnit],
    potential: Potential,
    method: str,
    *,
    limits: Limits,
    batch_size: int = 0,
) -> Iterator[tuple[int, Relaxation]]:
    """Relax crystals, yielding (index, outcome) as each is finished.

    Args:
        crystals: any cells for ``unconstrained``; asymmetric units for ``symmetry``.  Taken as room comes free.
        potential: whose energies they go by.
        method: ``unconstrained`` is StructOptimizer's protocol; ``symmetry`` keeps the space group.
        limits: when each relaxation ends.
        batch_size: crystals in progress at once; 0 = as the potential has it.

    A crystal that cannot be computed, or an unforeseen error with it, ends as a status and never ends the others; the
    first error of each kind is printed.

    Raises:
        Exception: an unforeseen error that is the same for all crystals of the first call, if there are several: it is
            no matter of one crystal.  An error in `crystals`, or a device that is lost, at any time.
    """
    batch_size = batch_size or potential.batch_size
    waiting = enumerate(crystals)
    active: list[Relaxing] = []
    printed: set[str] = set()  # kinds of errors
    first_call = True
    while True:
        while len(active) < batch_size and (drawn := next(waiting, None)) is not None:
            started = time.monotonic()
            entered = _enter(*drawn, potential, method, limits, printed)
            if isinstance(entered, Relaxation):
                yield drawn[0], entered
            else:
                entered.seconds += time.monotonic() - started
                active.append(entered)
        if not active:
            return
        remaining: list[Relaxing] = []
        for group in calls(active, lambda entry: entry.cost(potential), potential.batch_cost):
            started = time.monotonic()
            points = computed(potential, [entry.request for entry in group])
            share = (time.monotonic() - started) / len(group)
            statuses = []
            for entry, point in zip(group, points, strict=True):
                entry.seconds += share
                started = time.monotonic()
                statuses.append(_status(entry, point, limits))
                entry.seconds += time.monotonic() - started
            if first_call:
                stop_if_all_fail_alike(statuses)
                first_call = False
            for entry, status in zip(group, statuses, strict=True):
                if status is None:
                    remaining.append(entry)
                else:
                    yield entry.index, _outcome(entry, status, printed)
        active = remaining


def _status(entry: Relaxing, point: Point | Exception, limits: Limits) -> str | Exception | None:
    """Status or error with which a computed point ends a relaxation; None if it continues."""
    if isinstance(point, Exception):
        return point
    try:
        return entry.take(point, limits)
    except Exception as error:  # as in `single_points.computed`
        if isinstance(error, torch.AcceleratorError):
            raise
        return error


def _outcome(entry: Relaxing, status: str | Exception, printed: set[str]) -> Relaxation:
    """Outcome of a finished relaxation."""
    if isinstance(status, UnusableCrystalError):
        status = f"failed:{status}"
    if isinstance(status, str):
        try:
            return entry.outcome(status)
        except Exception as error:  # noqa: BLE001  (the symmetry search or a distance, of a crystal like no other)
            return _failed(entry.result, error, printed)
    failed = _failed(entry.result, status, printed)
    try:
        return entry.outcome(failed.status, failed.detail)
    except Exception:  # noqa: BLE001  (then without what is known of its start)
        return failed


def _failed(result: Relaxation, error: Exception, printed: set[str]) -> Relaxation:
    """`result` of a crystal with an unforeseen error, which is printed if none of its kind was before."""
    kind, message = type(error).__name__, str(error).replace("\n", " ")
    if kind not in printed:
        printed.add(kind)
        print(
            f"{result.formula}: failed:{kind}: {message} (further ones of this kind: in the column "
            "`detail`)",
            file=sys.stderr, flush=True,
        )  # fmt: skip
    return dataclasses.replace(result, status=f"failed:{kind}", detail=message)


def _enter(
    index: int,
    crystal: Structure | AsymmetricUnit,
    potential: Potential,
    method: str,
    limits: Limits,
    printed: set[str],
) -> Relaxing | Relaxation:
    """A crystal made ready, or the outcome of one that cannot be computed."""
    if isinstance(crystal, AsymmetricUnit):
        formula, number = crystal.formula, crystal.primitive_atoms
    else:
        try:
            crystal = without_decoration(crystal)
        except StructureError as error:
            return unusable(crystal, error, method)
        formula, number = crystal.composition.reduced_formula, len(crystal)
    result = Relaxation("", formula, number, method=method)
    try:
        return _ready(index, crystal, potential, result, limits)
    except UnusableCrystalError as reason:
        return dataclasses.replace(result, status=f"failed:{reason}")
    except Exception as error:  # noqa: BLE001  (as in `single_points.computed`)
        return _failed(result, error, printed)


def _ready(
    index: int, crystal: Structure | AsymmetricUnit, potential: Potential, result: Relaxation, limits: Limits
) -> Relaxing | Relaxation:
    """See `_enter`.

    Raises:
        UnusableCrystalError: the potential cannot take it.
    """
    if isinstance(crystal, AsymmetricUnit):
        lattice, positions = crystal.lattice, crystal.position
    else:
        lattice, positions = crystal.lattice.matrix, crystal.frac_coords
    if not (np.isfinite(lattice).all() and np.isfinite(positions).all()):
        raise UnusableCrystalError("not_finite")
    if abs(np.linalg.det(lattice)) < FLAT:
        raise UnusableCrystalError("flat_cell")
    relaxation: InProgress
    if isinstance(crystal, AsymmetricUnit):
        if result.number_of_atoms > limits.max_atoms:
            return dataclasses.replace(result, status="too_large")
        relaxation = SymmetricRelaxation(crystal, steps=limits.steps, fmax=limits.fmax, noise=potential.noise)
    else:
        primitive = primitive_cell(crystal)
        element = np.array([site.specie.Z for site in primitive])
        relaxation = FireRelaxation(
            primitive.lattice.matrix, primitive.frac_coords, element, steps=limits.steps, fmax=limits.fmax
        )
    result = dataclasses.replace(result, number_of_atoms=relaxation.atoms)
    if relaxation.atoms > limits.max_atoms:
        return dataclasses.replace(result, status="too_large")
    check_elements(relaxation.element, potential.elements)
    entry = Relaxing(index, relaxation, result, potential.zero(relaxation.element))
    # refuses what has no neighbour list; at the very start, as a first step may have rounded it
    start = dataclasses.replace(entry.request, lattice=relaxation.lattice, position=relaxation.position)
    potential.cost(start)
    return entry
