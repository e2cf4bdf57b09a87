"""Relaxation of one crystal by CHGNet's own StructOptimizer (FIRE, cell relaxed), with a status in every case."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from ase.optimize import FIRE
from chgnet.model.dynamics import CHGNetCalculator, StructOptimizer
from pymatgen.core import Structure

from symmcd.errors import SymmcdError
from symmcd.stability.outcome import Relaxation, State, ran_away, unusable, with_end, with_start
from symmcd.stability.potential import FLAT, UnusableCrystalError, check_crystal, is_finite, primitive_cell
from symmcd.structures.convert import without_decoration
from symmcd.structures.crystal import StructureError

ALIKE = 4  # crystals in a row from the start whose common error is taken for one of the program


class _StoppedError(Exception):
    """Raised inside an energy call to end a relaxation; the message is the status."""


class _WatchedCalculator(CHGNetCalculator):
    """CHGNet's calculator, which looks at each crystal before it is computed and at each result after."""

    def __init__(self, model: Any, deadline: float) -> None:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints the device
            super().__init__(model, use_device=str(next(model.parameters()).device), on_isolated_atoms="error")
        self.deadline = deadline
        self.first: State | None = None
        self.last: State | None = None
        self.steps = 0  # points computed after the first

    def calculate(
        self, atoms: Any = None, properties: Any = None, system_changes: Any = None, task: Any = "efsm"
    ) -> None:
        """One energy call, or in its place a _StoppedError or UnusableCrystalError."""
        structure = Structure(atoms.cell.array, atoms.numbers.tolist(), atoms.get_scaled_positions(wrap=False))
        if self.first is not None:
            if time.monotonic() > self.deadline:
                raise _StoppedError("timed_out")
            if ran_away(structure.lattice.matrix, len(structure), self.first.structure.lattice.matrix):
                raise _StoppedError("exploded")
        check_crystal(structure)
        super().calculate(atoms, properties, system_changes, task)
        if not all(np.isfinite(self.results[name]).all() for name in ("energy", "forces", "stress")):
            raise UnusableCrystalError("nan_forces")
        self.last = State(structure, float(self.results["energy"]) / len(structure))
        if self.first is None:
            self.first = self.last
        else:
            self.steps += 1


def relax(
    structure: Structure, model: Any, *, steps: int = 500, fmax: float = 0.1, max_atoms: int = 200, seconds: float = 600
) -> Relaxation:
    """Relax positions and cell of one crystal, in its primitive cell.

    Args:
        structure: any cell; oxidation states, spins and isotopes are left out.
        model: what `load_chgnet` returned.
        steps: FIRE steps at most.
        fmax: convergence, largest force in eV/Å, on atoms and (as CHGNet has it) on the cell.
        max_atoms: of the primitive cell.
        seconds: wall-clock limit, looked at before each step.

    The same crystal gives the same numbers on a CPU with the same number of threads, unless it times out.
    """
    started = time.monotonic()
    try:
        structure = without_decoration(structure)
    except StructureError as error:
        return unusable(structure, error)
    if not is_finite(structure):
        return Relaxation("failed:not_finite", structure.composition.reduced_formula, len(structure))
    if structure.volume < FLAT:
        return Relaxation("failed:flat_cell", structure.composition.reduced_formula, len(structure))
    primitive = primitive_cell(structure)
    result = Relaxation("", primitive.composition.reduced_formula, len(primitive))
    if len(primitive) > max_atoms:
        return dataclasses.replace(result, status="too_large")
    calculator = _WatchedCalculator(model, started + seconds)
    optimizers: list[FIRE] = []  # StructOptimizer keeps its own to itself, and with it the forces on atoms and cell

    def fire(atoms: Any, **options: Any) -> FIRE:
        optimizers.append(FIRE(atoms, **options))
        return optimizers[-1]

    detail = largest = None
    try:
        StructOptimizer(calculator, optimizer_class=fire).relax(
            primitive, fmax=fmax, steps=steps, assign_magmoms=False, logfile=None
        )
        largest = float(np.linalg.norm(optimizers[0].atoms.get_forces(), axis=1).max())
        status = "converged" if largest < fmax else "step_limit"
    except _StoppedError as stop:
        status = str(stop)
    except UnusableCrystalError as reason:
        status = f"failed:{reason}"
    except Exception as error:  # one broken crystal must not end a batch of thousands; the message goes to the table
        if isinstance(error, torch.AcceleratorError):
            raise  # the device is lost, and with it every crystal after this one
        status, detail = f"failed:{type(error).__name__}", str(error)
    result = dataclasses.replace(
        result,
        status=status,
        steps=calculator.steps,
        method="structure_optimizer",
        energy_calls=calculator.steps + (calculator.first is not None),
        fmax=largest,
        detail=(detail or "").replace("\n", " "),
    )
    result = with_start(result, calculator.first)
    if status in ("converged", "step_limit", "timed_out"):
        result = with_end(result, calculator.first, calculator.last)
    return dataclasses.replace(result, seconds=round(time.monotonic() - started, 3))


def relax_each(structures: Iterable[Structure], model: Any, **limits: Any) -> Iterator[tuple[int, Relaxation]]:
    """(index, what became of it) of one crystal after the other; `limits` are those of `relax`.

    Raises:
        SymmcdError: each of the first `ALIKE` crystals ends with the same unforeseen error: it is no matter of one.
    """
    held: list[tuple[int, Relaxation]] | None = []  # not given out, and so in no journal, until one is another
    for index, structure in enumerate(structures):
        result = relax(structure, model, **limits)
        if held is None:
            yield index, result
            continue
        held.append((index, result))
        alike = bool(result.detail) and {other.status for _, other in held} == {result.status}
        if alike and len(held) == ALIKE:
            raise SymmcdError(f"the first {ALIKE} crystals all end with {result.status}: {result.detail}")
        if not alike:
            yield from held
            held = None
    yield from held or ()
