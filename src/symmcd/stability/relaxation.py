"""Relaxation of one crystal by CHGNet's own StructOptimizer (FIRE, cell relaxed), with a status in every case."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ase.optimize import FIRE
from chgnet.model.dynamics import CHGNetCalculator, StructOptimizer
from pymatgen.core import Structure

from symmcd.stability.potential import (
    UnusableCrystalError,
    check_crystal,
    is_finite,
    primitive_cell,
    shortest_distance,
    space_group_number,
)

# Beyond these a relaxation has run away.  Caesium, the roomiest element, has 115 Å3 an atom and hydrogen under pressure
# 2; plutonium lies lowest at -14.3 eV/atom, and its compounds hardly lower.
VOLUME_PER_ATOM = (1.0, 500.0)  # Å3
LONGEST_CELL_LENGTH = 200.0  # Å
ENERGY_PER_ATOM = (-16.0, 10.0)  # eV, for the energy at the end; a start may well lie higher
OVERLAP = 0.5  # Å, the paper's bound of structural validity
SYMPREC = 0.1  # Å, for the space groups before and after


@dataclass(frozen=True)
class Relaxation:
    """What became of one crystal.  Energies are eV/atom; a value that does not exist is None.

    `status` is one of

    ========================  ====================================================================================
    ``converged``             largest force (cell included) below fmax
    ``step_limit``            not converged after so many steps; energy and structure are the last ones
    ``timed_out``             wall-clock limit; energy and structure are those reached
    ``exploded``              volume, cell or energy ran out of what crystals have; no relaxed energy
    ``overlapping``           ended with atoms closer than 0.5 Å, where CHGNet was never trained; no relaxed energy
    ``too_large``             primitive cell above the limit of atoms; nothing computed
    ``failed:<reason>``       CHGNet cannot take it: isolated_atoms, unknown_element:Po, not_finite, …
    ========================  ====================================================================================
    """

    status: str
    formula: str
    number_of_atoms: int  # primitive cell
    energy_initial: float | None = None
    energy_relaxed: float | None = None
    steps: int = 0
    fmax: float | None = None  # eV/Å, largest generalised force at the end, as FIRE judges it
    seconds: float = 0.0
    rms_displacement: float | None = None  # Å, common shift removed, in the mean of both cells
    volume_change: float | None = None  # relaxed / initial - 1
    space_group_initial: int | None = None
    space_group_relaxed: int | None = None
    min_distance_initial: float | None = None  # Å
    min_distance_relaxed: float | None = None  # Å
    detail: str = ""  # the message behind an unforeseen failure
    structure: Structure | None = None  # relaxed, primitive cell

    def row(self) -> dict[str, Any]:
        """Everything but the structure, for a table."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "structure"}


COLUMNS = tuple(f.name for f in dataclasses.fields(Relaxation) if f.name != "structure")


class _StoppedError(Exception):
    """Raised inside an energy call to end a relaxation; the message is the status."""


@dataclass(frozen=True)
class _State:
    """A computed point of a relaxation."""

    structure: Structure
    energy: float  # eV/atom


class _WatchedCalculator(CHGNetCalculator):
    """CHGNet's calculator, which looks at each crystal before it is computed and at each result after."""

    def __init__(self, model: Any, deadline: float) -> None:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints the device
            super().__init__(model, use_device=str(next(model.parameters()).device), on_isolated_atoms="error")
        self.deadline = deadline
        self.first: _State | None = None
        self.last: _State | None = None
        self.steps = 0  # points computed after the first

    def calculate(
        self, atoms: Any = None, properties: Any = None, system_changes: Any = None, task: Any = "efsm"
    ) -> None:
        """One energy call, or in its place a _StoppedError or UnusableCrystalError."""
        structure = Structure(atoms.cell.array, atoms.numbers.tolist(), atoms.get_scaled_positions(wrap=False))
        if self.first is not None:
            if time.monotonic() > self.deadline:
                raise _StoppedError("timed_out")
            if _cell_ran_away(structure, self.first.structure):
                raise _StoppedError("exploded")
        check_crystal(structure)
        super().calculate(atoms, properties, system_changes, task)
        if not all(np.isfinite(self.results[name]).all() for name in ("energy", "forces", "stress")):
            raise UnusableCrystalError("nan_forces")
        self.last = _State(structure, float(self.results["energy"]) / len(structure))
        if self.first is None:
            self.first = self.last
        else:
            self.steps += 1


def relax(
    structure: Structure, model: Any, *, steps: int = 500, fmax: float = 0.1, max_atoms: int = 200, seconds: float = 600
) -> Relaxation:
    """Relax positions and cell of one crystal, in its primitive cell.

    Args:
        structure: any cell.
        model: what `load_chgnet` returned.
        steps: FIRE steps at most.
        fmax: convergence, largest force in eV/Å, on atoms and (as CHGNet has it) on the cell.
        max_atoms: of the primitive cell.
        seconds: wall-clock limit, looked at before each step.

    The same crystal gives the same numbers on a CPU with the same number of threads, unless it times out.
    """
    started = time.monotonic()
    if not is_finite(structure):
        return Relaxation("failed:not_finite", structure.composition.reduced_formula, len(structure))
    if structure.volume == 0:
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
        fmax=largest,
        detail=(detail or "").replace("\n", " "),
    )
    result = _with_start(result, calculator.first)
    if status in ("converged", "step_limit", "timed_out"):
        result = _with_end(result, calculator.first, calculator.last)
    return dataclasses.replace(result, seconds=round(time.monotonic() - started, 3))


def _cell_ran_away(structure: Structure, first: Structure | None = None) -> bool:
    """Whether the cell is out of what crystals have; on the way it may be as wide as the `first` one was."""
    largest, longest = VOLUME_PER_ATOM[1], LONGEST_CELL_LENGTH
    if first is not None:
        largest, longest = max(largest, 1.5 * first.volume / len(first)), max(longest, 1.5 * max(first.lattice.abc))
    volume = structure.volume / len(structure)
    return not (VOLUME_PER_ATOM[0] < volume < largest and max(structure.lattice.abc) < longest)


def _with_start(result: Relaxation, first: _State | None) -> Relaxation:
    if first is None:
        return result
    return dataclasses.replace(
        result,
        energy_initial=first.energy,
        space_group_initial=space_group_number(first.structure, SYMPREC),
        min_distance_initial=shortest_distance(first.structure),
    )


def _with_end(result: Relaxation, first: _State | None, last: _State | None) -> Relaxation:
    """What is known of the relaxed crystal, or a status that says why its energy means nothing."""
    if first is None or last is None:
        return result
    distance = shortest_distance(last.structure)
    if _cell_ran_away(last.structure) or not ENERGY_PER_ATOM[0] < last.energy < ENERGY_PER_ATOM[1]:
        return dataclasses.replace(result, status="exploded", min_distance_relaxed=distance)
    if distance < OVERLAP:
        return dataclasses.replace(result, status="overlapping", min_distance_relaxed=distance)
    return dataclasses.replace(
        result,
        energy_relaxed=last.energy,
        rms_displacement=_rms_displacement(first.structure, last.structure),
        volume_change=last.structure.volume / first.structure.volume - 1,
        space_group_relaxed=space_group_number(last.structure, SYMPREC),
        min_distance_relaxed=distance,
        structure=last.structure,
    )


def _rms_displacement(first: Structure, last: Structure) -> float:
    """Root mean square shift of the atoms in Å, beyond what the cell's strain and a common shift account for."""
    shift = last.frac_coords - first.frac_coords  # positions are not wrapped between steps
    cartesian = (shift - shift.mean(axis=0)) @ ((first.lattice.matrix + last.lattice.matrix) / 2)
    return float(np.sqrt((cartesian**2).sum(axis=1).mean()))
