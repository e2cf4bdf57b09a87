"""FIRE on positions and cell together, as CHGNet's StructOptimizer runs it: ASE's FIRE on ASE's FrechetCellFilter.

One object per crystal holds its own time step and velocities; who computes the energies of many of them at once is
`batch_relaxation`.  Bitzek et al., PRL 97, 170201 (2006); the cell by the logarithm of its deformation, as in
https://github.com/lan496/lan496.github.io/blob/main/notes/cell_grad.pdf.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import expm, inv

from symmcd.potentials.potential import Point, Request

# ASE's FIRE defaults
TIME_STEP, LARGEST_TIME_STEP = 0.1, 1.0
LARGEST_STEP = 0.2  # Å, norm over all degrees of freedom
STEPS_BEFORE_GROWTH = 5
GROWTH, CUT = 1.1, 0.5
MIXING, MIXING_DECAY = 0.1, 0.99


class FireRelaxation:
    """One crystal under FIRE.

    With D the deformation since the start, cell = cell_0 Dᵀ (rows), degrees of freedom are the positions in the
    undeformed cell, (n, 3) in Å, and below them n log D, (3, 3).

    Args:
        lattice: (3, 3) rows in Å.
        position: (n, 3) fractional; they are never wrapped.
        element: (n,) atomic numbers.
        steps: FIRE steps at most.
        fmax: eV/Å, over rows of the generalised force.
    """

    def __init__(
        self, lattice: np.ndarray, position: np.ndarray, element: np.ndarray, *, steps: int, fmax: float
    ) -> None:
        self.element = element
        self.atoms = len(element)
        self.position = np.array(position, float)
        self.lattice = np.array(lattice, float)
        self.energy = np.nan  # eV/atom, at `lattice` and `position`
        self.largest: float | None = None  # eV/Å
        self.steps = 0
        self._limit, self._fmax = steps, fmax
        self._undeformed = self.lattice.copy()
        self._x = np.vstack([self.position @ self.lattice, np.zeros((3, 3))])
        self._velocity: np.ndarray | None = None
        self._time_step, self._mixing, self._downhill = TIME_STEP, MIXING, 0

    def request(self) -> Request:
        """The geometry to compute next."""
        lattice, position = self._geometry()
        return Request(lattice, position, self.element, owner=self)

    def advance(self, request: Request, point: Point) -> str | None:
        """Take the computed point and make a step.  Returns the status once the relaxation has ended."""
        self.lattice, self.position, self.energy = request.lattice, request.position, point.energy
        force = self._force(point.forces, point.virial)
        self.largest = float(np.sqrt((force**2).sum(axis=1).max()))
        if self.largest < self._fmax:
            return "converged"
        if self.steps == self._limit:
            return "step_limit"
        self.steps += 1
        self._x = self._x + self._step(force)
        return None

    def _geometry(self) -> tuple[np.ndarray, np.ndarray]:
        deformation = expm(self._x[self.atoms :] / self.atoms)
        # fractional coordinates do not know the deformation
        return self._undeformed @ deformation.T, self._x[: self.atoms] @ np.linalg.inv(self._undeformed)

    def _force(self, forces: np.ndarray, virial: np.ndarray) -> np.ndarray:
        """(n + 3, 3) minus the derivative of the energy; one Fréchet derivative of exp gives all of the cell's.

        ⟨G, L(A, E)⟩ = ⟨L(Aᵀ, G), E⟩ with L(A, E) the derivative of exp at A along E, and L(A, E) is a block of
        exp([[A, E], [0, A]]).
        """
        log = self._x[self.atoms :] / self.atoms
        deformation = expm(log)
        block = np.zeros((6, 6))
        block[:3, :3] = block[3:, 3:] = log.T
        block[:3, 3:] = -virial @ inv(deformation.T)
        return np.vstack([forces @ deformation, expm(block)[:3, 3:] / self.atoms])

    def _step(self, force: np.ndarray) -> np.ndarray:
        if self._velocity is None:
            self._velocity = np.zeros_like(force)
        elif np.vdot(force, self._velocity) > 0:
            speed, strength = np.linalg.norm(self._velocity), np.linalg.norm(force)
            self._velocity = (1 - self._mixing) * self._velocity + self._mixing * force / strength * speed
            if self._downhill > STEPS_BEFORE_GROWTH:
                self._time_step = min(self._time_step * GROWTH, LARGEST_TIME_STEP)
                self._mixing *= MIXING_DECAY
            self._downhill += 1
        else:
            self._velocity = np.zeros_like(force)
            self._mixing = MIXING
            self._time_step *= CUT
            self._downhill = 0
        self._velocity = self._velocity + self._time_step * force
        step = self._time_step * self._velocity
        length = np.linalg.norm(step)
        return step * (LARGEST_STEP / length) if length > LARGEST_STEP else step
