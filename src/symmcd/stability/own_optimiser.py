"""Relaxation of one crystal after the other by a potential's own optimiser, with a status in every case."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from pymatgen.core import Structure

from symmcd.potentials.potential import FLAT, OwnOptimiser, Point, Potential, Request, UnusableCrystalError
from symmcd.stability.geometry import is_finite, primitive_cell
from symmcd.stability.outcome import (
    Limits,
    Relaxation,
    State,
    ran_away,
    stop_if_all_fail_alike,
    unusable,
    with_end,
    with_start,
)
from symmcd.structures.convert import without_decoration
from symmcd.structures.crystal import StructureError

ALIKE = 4  # crystals in a row from the start whose common error is taken for one of the program


class _StoppedError(Exception):
    """Raised by the watcher to end a relaxation; the message is the status."""


class _Watch:
    """Remembers the first and last computed point; stops a relaxation that takes too long or runs away."""

    def __init__(self, deadline: float, zero: float) -> None:
        self.deadline, self.zero = deadline, zero
        self.first: State | None = None
        self.last: State | None = None
        self.steps = 0  # points computed after the first

    def before(self, request: Request) -> None:
        """Stop a run after its first point, where time is up or the cell is out of bounds."""
        if self.first is None:
            return
        if time.monotonic() > self.deadline:
            raise _StoppedError("timed_out")
        if ran_away(request.lattice, len(request.element), self.first.structure.lattice.matrix):
            raise _StoppedError("exploded")

    def after(self, request: Request, point: Point) -> None:
        """Remember a point."""
        structure = Structure(request.lattice, request.element.tolist(), request.position)
        self.last = State(structure, point.energy, self.zero)
        if self.first is None:
            self.first = self.last
        else:
            self.steps += 1


def relax_each(
    structures: Iterable[Structure], potential: Potential, method: str, optimise: OwnOptimiser, limits: Limits
) -> Iterator[tuple[int, Relaxation]]:
    """Relax positions and cell of one crystal after the other, yielding (index, outcome).

    Args:
        structures: any cells; oxidation states, spins and isotopes are left out.
        potential: whose optimiser it is.
        method: name of the optimiser.
        optimise: the optimiser.
        limits: when each relaxation ends; seconds are wall-clock time, looked at before each step.

    Raises:
        Exception: each of the first `ALIKE` crystals ends with the same unforeseen error: it is no matter of one.
    """
    held: list[tuple[int, Relaxation]] | None = []  # not given out, and so in no journal, until one is another
    errors: list[Exception | None] = []
    for index, structure in enumerate(structures):
        result, error = _relaxed(structure, potential, method, optimise, limits)
        if held is None:
            yield index, result
            continue
        held.append((index, result))
        errors.append(error)
        if error is None or len(held) == ALIKE:
            stop_if_all_fail_alike(errors)
            yield from held
            held = None
    if held:
        stop_if_all_fail_alike(errors)
        yield from held


def _relaxed(
    structure: Structure, potential: Potential, method: str, optimise: OwnOptimiser, limits: Limits
) -> tuple[Relaxation, Exception | None]:
    """Outcome for one crystal, and the unforeseen error behind it, if any."""
    started = time.monotonic()
    try:
        structure = without_decoration(structure)
    except StructureError as error:
        return unusable(structure, error, method), None
    result = Relaxation("", structure.composition.reduced_formula, len(structure), method=method)
    if not is_finite(structure):
        return dataclasses.replace(result, status="failed:not_finite"), None
    if structure.volume < FLAT:
        return dataclasses.replace(result, status="failed:flat_cell"), None
    primitive = primitive_cell(structure)
    result = dataclasses.replace(result, number_of_atoms=len(primitive))
    if len(primitive) > limits.max_atoms:
        return dataclasses.replace(result, status="too_large"), None
    element = np.array([site.specie.Z for site in primitive])
    watch, unforeseen = _Watch(started + limits.seconds, potential.zero(element)), None
    largest: float | None = None
    start = Request(primitive.lattice.matrix, primitive.frac_coords, element)
    try:
        largest = optimise(potential, start, limits.steps, limits.fmax, watch)
        status = "converged" if largest < limits.fmax else "step_limit"
    except _StoppedError as stop:
        status = str(stop)
    except UnusableCrystalError as reason:
        status = f"failed:{reason}"
    except Exception as error:  # one broken crystal must not end a batch of thousands; the message goes to the table
        if isinstance(error, torch.AcceleratorError):
            raise  # the device is lost, and with it every crystal after this one
        status, unforeseen = f"failed:{type(error).__name__}", error
    result = dataclasses.replace(
        result,
        status=status,
        steps=watch.steps,
        energy_calls=watch.steps + (watch.first is not None),
        fmax=largest,
        detail="" if unforeseen is None else str(unforeseen).replace("\n", " "),
    )
    result = with_start(result, watch.first)
    if status in ("converged", "step_limit", "timed_out"):
        result = with_end(result, watch.first, watch.last)
    return dataclasses.replace(result, seconds=round(time.monotonic() - started, 3)), unforeseen
