"""Relaxation in the asymmetric unit: the space group's free numbers are the only degrees of freedom.

For a handful of numbers a quasi-Newton method needs far fewer energies than FIRE for all atoms; a potential may compute
of equivalent atoms one; and the space group cannot be lost.
"""

from __future__ import annotations

import numpy as np
from ase.data import covalent_radii

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
from symmcd.crystallography.symmetric_cell import SymmetricCell
from symmcd.potentials.neighbour_list import bond_orbits
from symmcd.potentials.potential import Point, Request
from symmcd.stability.quasi_newton import QuasiNewton

LARGEST_SHIFT = 0.2  # Å per step, any atom
LARGEST_STRAIN = 0.05  # a step
SPRING_REACH = 6.5  # Å
# Model of the second derivatives: each bond a spring of STIFFNESS eV/Å² at the sum of covalent radii, falling off by
# exp(-DECAY) for each such sum beyond; and what holds an atom or the cell where no spring does.
STIFFNESS, DECAY = 3.0, 5.0
ATOM_STIFFNESS, CELL_STIFFNESS = 1.0, 0.2  # eV/Å² per atom; eV/Å3 per volume


class SymmetricRelaxation:
    """One crystal under BFGS in its free numbers.

    Args:
        unit: the crystal.
        steps: energies computed after the first, at most.
        fmax: eV/Å, largest force on an atom and largest row of virial / atoms, as the unconstrained route has it at an
            undeformed cell.
        noise: eV/atom, rise of the energy that counts as none: rounding of the potential.
    """

    def __init__(self, unit: AsymmetricUnit, *, steps: int, fmax: float, noise: float) -> None:
        self.cell = SymmetricCell(unit)
        self.element = self.cell.element
        self.atoms = len(self.element)
        self.lattice, self.position = self.cell.geometry(self.cell.start)
        self.energy = np.nan
        self.largest: float | None = None
        self.steps = 0
        self._limit, self._fmax, self._noise = steps, fmax, noise
        self._minimiser: QuasiNewton | None = None

    def request(self) -> Request:
        """The geometry to compute next."""
        lattice, position = self.cell.geometry(self._q)
        return Request(lattice, position, self.element, symmetry=self.cell, owner=self)

    def unit(self) -> AsymmetricUnit:
        """The crystal at the last accepted point."""
        return self.cell.unit(self.cell.start if self._minimiser is None else self._minimiser.best)

    @property
    def _q(self) -> np.ndarray:
        return self.cell.start if self._minimiser is None else self._minimiser.point

    def advance(self, request: Request, point: Point) -> str | None:
        """Take the computed point and choose the next.  Returns the status once the relaxation has ended."""
        forces, virial = self.cell.symmetrised(request.lattice, point.forces, point.virial)
        if self._minimiser is None:
            self._minimiser = QuasiNewton(self.cell.start, self._model(request), self._size, self._noise * self.atoms)
        else:
            self.steps += 1
        if self._minimiser.tell(point.energy * self.atoms, self._gradient(forces, virial)):
            self.lattice, self.position, self.energy = request.lattice, request.position, point.energy
            rows = np.vstack([forces, virial / self.atoms])
            self.largest = float(np.sqrt((rows**2).sum(axis=1).max()))
            if self.largest < self._fmax:
                return "converged"
        if self.steps == self._limit:
            return "step_limit"
        self._minimiser.propose()
        return None

    def _gradient(self, forces: np.ndarray, virial: np.ndarray) -> np.ndarray:
        """(d,) derivative of the cell's energy in eV."""
        shift, strain = self.cell.directions(self._q)
        return np.einsum("dij,ij->d", strain, virial) - np.einsum("dnj,nj->d", shift, forces)

    def _size(self, q: np.ndarray, step: np.ndarray) -> float:
        """Length of a step, 1 being the largest allowed."""
        shift, strain = self.cell.directions(q)
        moved = np.linalg.norm(np.tensordot(step, shift, axes=1), axis=1).max()
        strained = np.abs(np.linalg.eigvalsh(np.tensordot(step, strain, axes=1))).max()
        return float(max(moved / LARGEST_SHIFT, strained / LARGEST_STRAIN))

    def _model(self, request: Request) -> np.ndarray:
        """(d, d) second derivatives of a crystal of springs along its bonds."""
        shift, strain = self.cell.directions(self._q)
        bonds = bond_orbits(self.cell, request.lattice, request.position, SPRING_REACH)
        first, second, image = (rows[bonds.bond] for rows in (bonds.first, bonds.second, bonds.image))
        vector = (request.position[second] + image - request.position[first]) @ request.lattice
        length = np.maximum(np.linalg.norm(vector, axis=1), 0.1)
        unit = vector / length[:, None]
        radius = covalent_radii[self.element]
        ratio = length / (radius[first] + radius[second])
        stiffness = bonds.bond_count * STIFFNESS * np.exp(-DECAY * (np.maximum(ratio, 0.7) - 1))
        stretch = np.einsum("uj,duj->ud", unit, shift[:, second] - shift[:, first])
        stretch += np.einsum("ui,dij,uj->ud", vector, strain, unit)
        model = np.einsum("u,ud,ue->de", stiffness, stretch, stretch)
        volume = request.volume
        model += ATOM_STIFFNESS * np.einsum("dnj,enj->de", shift, shift)
        return model + CELL_STIFFNESS * volume * np.einsum("dij,eij->de", strain, strain)
