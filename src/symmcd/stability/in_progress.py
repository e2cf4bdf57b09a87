"""One of several crystals that relax together: its relaxation, its share of the time, and its outcome."""

from __future__ import annotations

import dataclasses
from typing import Protocol

import numpy as np
from pymatgen.core import Structure

from symmcd.potentials.potential import Point, Potential, Request, UnusableCrystalError
from symmcd.stability.constrained import SymmetricRelaxation
from symmcd.stability.fire import FireRelaxation
from symmcd.stability.outcome import Limits, Relaxation, State, ran_away, with_end, with_start

KICK = 0.02  # Å, standard deviation of the shifts that free a crystal from a saddle that symmetry held up


class InProgress(Protocol):
    """A relaxation that is told energies from outside."""

    element: np.ndarray  # (n,) atomic numbers
    atoms: int
    lattice: np.ndarray  # lattice of the last accepted point
    position: np.ndarray
    energy: float  # eV/atom
    largest: float | None
    steps: int

    def request(self) -> Request:
        """The geometry to compute next."""

    def advance(self, request: Request, point: Point) -> str | None:
        """Take a computed point; the status when the relaxation is over."""


class Relaxing:
    """A crystal in the batch.

    Args:
        index: its number.
        relaxation: that is told energies.
        result: what is known of it so far.
        zero: eV/atom, of the potential; see `Potential.zero`.
    """

    def __init__(self, index: int, relaxation: InProgress, result: Relaxation, zero: float = 0.0) -> None:
        self.index, self.relaxation, self.result, self.zero = index, relaxation, result, zero
        self.seconds = 0.0  # its share of the time so far
        self.calls = 0
        self.steps_before = 0  # steps before the symmetry was released
        self.first: State | None = None
        self.first_lattice: np.ndarray | None = None
        self.request = relaxation.request()

    def cost(self, potential: Potential) -> float:
        """Cost of its next energy; nothing for a crystal that cannot be computed, as the call will say."""
        try:
            return potential.cost(self.request)
        except UnusableCrystalError:
            return 0

    def state(self) -> State:
        relaxation = self.relaxation
        structure = Structure(relaxation.lattice, relaxation.element.tolist(), relaxation.position)
        return State(structure, relaxation.energy, self.zero)

    def release(self, limits: Limits) -> None:
        """Go on without symmetry, from positions kicked a little: at an exact saddle nothing pulls them off."""
        relaxation = self.relaxation
        kick = np.random.default_rng(0).normal(0, KICK, relaxation.position.shape)
        self.result = dataclasses.replace(self.result, energy_symmetric=relaxation.energy)
        self.steps_before = relaxation.steps
        self.relaxation = FireRelaxation(
            relaxation.lattice, relaxation.position + kick @ np.linalg.inv(relaxation.lattice),
            relaxation.element, steps=limits.release_steps, fmax=limits.fmax,
        )  # fmt: skip

    def take(self, point: Point, limits: Limits) -> str | None:
        """Digest a computed point; the status if this was the last."""
        self.calls += 1
        status = self.relaxation.advance(self.request, point)
        if self.first is None:
            self.first, self.first_lattice = self.state(), self.request.lattice
        late = self.seconds > limits.seconds
        symmetric = isinstance(self.relaxation, SymmetricRelaxation)
        if symmetric and status == "converged" and limits.release_steps and not late:
            self.release(limits)
            status = None
        if status is not None:
            return status
        if late:
            return "timed_out"
        self.request = self.relaxation.request()
        if ran_away(self.request.lattice, self.relaxation.atoms, self.first_lattice):
            return "exploded"
        return None

    def outcome(self, status: str, detail: str = "") -> Relaxation:
        result = dataclasses.replace(
            self.result,
            status=status,
            steps=self.steps_before + self.relaxation.steps,
            fmax=self.relaxation.largest,
            energy_calls=self.calls,
            seconds=round(self.seconds, 3),
            detail=detail.replace("\n", " "),
        )
        result = with_start(result, self.first)
        if status in ("converged", "step_limit", "timed_out"):
            result = with_end(result, self.first, self.state() if self.first else None)
            if result.structure is not None and isinstance(self.relaxation, SymmetricRelaxation):
                result = dataclasses.replace(result, unit=self.relaxation.unit())
        return result
