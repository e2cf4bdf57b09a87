"""A Morse pair potential: what a potential needs at the least, `evaluate` for whole cells."""

import numpy as np
from ase.data import covalent_radii

from symmcd.extensions import PotentialEntry
from symmcd.potentials.neighbour_list import check_cell, half_list
from symmcd.potentials.potential import Point, Potential, UnusableCrystalError, check_elements

REACH, DEPTH, WIDTH = 6.0, 0.5, 1.5  # Å, eV, 1/Å
ELEMENTS = frozenset(range(1, 84))


class Morse(Potential):
    """Σ D ((1 - exp(-a (r - r₀)))² - 1) c(r) over pairs, r₀ the sum of covalent radii, c smooth and 0 beyond 6 Å."""

    elements = ELEMENTS
    noise = 1e-9

    def evaluate(self, requests, *, forces=True):
        return [self._answer(request, forces=forces) for request in requests]

    def _answer(self, request, *, forces):
        try:
            check_cell(request.lattice, request.position, REACH)
            check_elements(request.element, self.elements)
        except UnusableCrystalError as reason:
            return reason
        first, second, image = half_list(request.lattice, request.position, REACH)
        vector = (request.position[second] + image - request.position[first]) @ request.lattice
        length = np.linalg.norm(vector, axis=1)
        if (length < 1e-3).any():
            return UnusableCrystalError("overlapping_atoms")
        fall = np.exp(-WIDTH * (length - covalent_radii[request.element][[first, second]].sum(axis=0)))
        inside = 1 - (length / REACH) ** 2
        energy, smooth = DEPTH * ((1 - fall) ** 2 - 1), inside**3
        total = float((energy * smooth).sum()) / len(request.element)
        if not forces:
            return Point(total)
        slope = 2 * DEPTH * WIDTH * (1 - fall) * fall * smooth - energy * 6 * inside**2 * length / REACH**2
        gradient = (slope / length)[:, None] * vector
        force = np.zeros((len(request.element), 3))
        np.add.at(force, first, gradient)
        np.add.at(force, second, -gradient)
        return Point.of_stress(request, total, force, vector.T @ gradient / request.volume)


ENTRY = PotentialEntry(
    sentence="Morse pairs at covalent distances, a toy",
    version="1",
    source="tests",
    loader="tests.potentials.toy:load",
    elements=ELEMENTS,
    corrected=False,
)


def load(_device):
    """The potential, on a CPU whatever the device."""
    return Morse()
