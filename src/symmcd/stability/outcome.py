"""Outcome of a relaxation: one status in every case, and an energy only if it is meaningful."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pymatgen.core import IStructure, Structure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
from symmcd.potentials.potential import UnusableCrystalError
from symmcd.stability.geometry import shortest_distance, space_group_number
from symmcd.structures.crystal import StructureError

# Beyond these a relaxation has run away.  Caesium, the roomiest element, has 115 Å3 an atom and hydrogen under pressure
# 2; plutonium lies lowest at -14.3 eV/atom in PBE, and its compounds hardly lower.
VOLUME_PER_ATOM = (1.0, 500.0)  # Å3
LONGEST_CELL_LENGTH = 200.0  # Å
# eV above the zero of the potential; outside, a start has no energy, and an end has exploded
ENERGY_PER_ATOM = (-16.0, 10.0)
OVERLAP = 0.5  # Å, the paper's bound of structural validity
SYMPREC = 0.1  # Å, for the space groups before and after


@dataclass(frozen=True)
class Relaxation:
    """Outcome for one crystal.  Energies are eV/atom; a value that does not exist is None.

    `status` is one of

    ========================  ====================================================================================
    ``converged``             largest force (cell included) below fmax
    ``step_limit``            not converged after so many steps; energy and structure are the last ones
    ``timed_out``             limit of its time; energy and structure are those reached
    ``exploded``              volume, cell or energy ran out of what crystals have; no relaxed energy
    ``overlapping``           ended with atoms closer than 0.5 Å, where no potential was trained; no relaxed energy
    ``too_large``             primitive cell above the limit of atoms; nothing computed
    ``failed:<reason>``       the potential cannot take it: isolated_atoms, unknown_element:Po, not_finite, …; or an
                              error that nobody foresaw, by its kind, with its message as `detail`
    ========================  ====================================================================================
    """

    status: str
    formula: str
    number_of_atoms: int  # primitive cell
    energy_initial: float | None = None  # None if it means nothing: atoms closer than 0.5 Å, or out of bounds
    energy_relaxed: float | None = None
    steps: int = 0
    fmax: float | None = None  # eV/Å, largest generalised force at the end, as FIRE judges it
    seconds: float = 0.0  # time; the crystal's share of a batch
    rms_displacement: float | None = None  # Å, common shift removed, in the mean of both cells
    volume_change: float | None = None  # relaxed / initial - 1
    space_group_initial: int | None = None
    space_group_relaxed: int | None = None
    min_distance_initial: float | None = None  # Å
    min_distance_relaxed: float | None = None  # Å
    detail: str = ""  # the message behind an unforeseen failure
    method: str = ""  # unconstrained | symmetry | an optimiser of the potential's own
    energy_calls: int = 0  # geometries that were computed
    energy_symmetric: float | None = None  # where symmetry was released at the end, the energy before
    structure: Structure | None = None  # relaxed, primitive cell
    # the same crystal with its Wyckoff positions; None if the space group was not kept
    unit: AsymmetricUnit | None = field(default=None, compare=False)

    def row(self) -> dict[str, Any]:
        """Everything but the crystal, for a table."""
        return {name: getattr(self, name) for name in COLUMNS}


COLUMNS = tuple(f.name for f in dataclasses.fields(Relaxation) if f.name not in {"structure", "unit"})


@dataclass(frozen=True)
class Limits:
    """Conditions that end a relaxation."""

    steps: int = 500
    fmax: float = 0.1  # eV/Å
    max_atoms: int = 200  # largest primitive cell
    seconds: float = 600  # computing time; of a batch, the crystal's share
    release_steps: int = 0  # steps of FIRE after a symmetric relaxation


@dataclass(frozen=True)
class State:
    """A computed point of a relaxation."""

    structure: Structure
    energy: float  # eV/atom
    zero: float = 0.0  # eV/atom, that energies of this composition count from; of the potential


def unusable(structure: IStructure, error: StructureError, method: str = "") -> Relaxation:
    """Outcome for a crystal that cannot be used, such as one with a half-occupied site."""
    return Relaxation(f"failed:{error.reason}", structure.composition.reduced_formula, len(structure), method=method)


def stop_if_all_fail_alike(ends: Sequence[object]) -> None:
    """Raise the error that several crystals have in common if no crystal was computed.

    Args:
        ends: the error that each of the first crystals ended with; anything else where it was computed.
    """
    errors = [error for error in ends if isinstance(error, Exception) and not isinstance(error, UnusableCrystalError)]
    computed = any(not isinstance(error, Exception) for error in ends)
    if not computed and len(errors) > 1 and len({(type(error), str(error)) for error in errors}) == 1:
        raise errors[0]


def is_unread(row: Mapping[str, str]) -> bool:
    """Return whether a row is of a crystal that could not be read: no formula, and the reason as its status."""
    reason = row.get("status", "").startswith("failed:")
    return reason and not row.get("formula", "?") and not row.get("energy_relaxed")


def ran_away(lattice: np.ndarray, atoms: int, first: np.ndarray | None = None) -> bool:
    """Return whether a cell is out of the range of crystals; on the way it may be as wide as the `first` one was.

    Args:
        lattice: (3, 3) rows in Å.
        atoms: in the cell.
        first: (3, 3) cell at the start, if this is not the end.
    """
    largest, longest = VOLUME_PER_ATOM[1], LONGEST_CELL_LENGTH
    if first is not None:
        largest = max(largest, 1.5 * abs(np.linalg.det(first)) / atoms)
        longest = max(longest, 1.5 * np.linalg.norm(first, axis=1).max())
    volume = abs(np.linalg.det(lattice)) / atoms
    return not (VOLUME_PER_ATOM[0] < volume < largest and np.linalg.norm(lattice, axis=1).max() < longest)


def with_start(result: Relaxation, first: State | None) -> Relaxation:
    """`result` with the energy of the first point; no energy where it means nothing, as at the end."""
    if first is None:
        return result
    distance = shortest_distance(first.structure)
    return dataclasses.replace(
        result,
        energy_initial=None if nonsense(first.energy - first.zero, distance) else first.energy,
        space_group_initial=space_group_number(first.structure, SYMPREC),
        min_distance_initial=distance,
    )


def with_end(result: Relaxation, first: State | None, last: State | None) -> Relaxation:
    """Values of the relaxed crystal, or a status that says why its energy is meaningless."""
    if first is None or last is None:
        return result
    distance = shortest_distance(last.structure)
    away = ran_away(last.structure.lattice.matrix, len(last.structure))
    if why := "exploded" if away else nonsense(last.energy - last.zero, distance):
        return dataclasses.replace(result, status=why, min_distance_relaxed=distance)
    return dataclasses.replace(
        result,
        energy_relaxed=last.energy,
        rms_displacement=_rms_displacement(first.structure, last.structure),
        volume_change=last.structure.volume / first.structure.volume - 1,
        space_group_relaxed=space_group_number(last.structure, SYMPREC),
        min_distance_relaxed=distance,
        structure=last.structure,
    )


def nonsense(energy: float, distance: float) -> str:
    """Reason why an energy is meaningless; empty if it is not.

    Args:
        energy: eV/atom above the zero of the potential (`Potential.zero`).
        distance: Å, as near as atoms come.
    """
    if not ENERGY_PER_ATOM[0] < energy < ENERGY_PER_ATOM[1]:
        return "exploded"
    return "overlapping" if distance < OVERLAP else ""


def _rms_displacement(first: Structure, last: Structure) -> float:
    """Root mean square shift of the atoms in Å, beyond what the cell's strain and a common shift account for."""
    shift = last.frac_coords - first.frac_coords  # positions are not wrapped between steps
    cartesian = (shift - shift.mean(axis=0)) @ ((first.lattice.matrix + last.lattice.matrix) / 2)
    return float(np.sqrt((cartesian**2).sum(axis=1).mean()))
