"""The primitive cell of a crystal as a function of what its space group leaves free."""

from __future__ import annotations

import functools

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
from symmcd.crystallography.lattice import (
    BASIS,
    constrain,
    free_coefficients,
    k_from_lattice,
    lattice_from_k,
)
from symmcd.crystallography.space_group import operations, symbol
from symmcd.crystallography.wyckoff import wrap, wyckoff_table

# rows: primitive vectors in terms of the conventional a, b, c
PRIMITIVE = {
    "P": np.eye(3),
    "A": np.array([[1, 0, 0], [0, 0.5, -0.5], [0, 0.5, 0.5]]),
    "C": np.array([[0.5, -0.5, 0], [0.5, 0.5, 0], [0, 0, 1]]),
    "I": np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]]),
    "F": np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]),
    "R": np.array([[2, 1, 1], [-1, 1, 1], [-1, -2, 1]]) / 3,
}


@functools.cache
def primitive_operations(space_group: int) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (g, 3, 3) int and translations (g, 3) of the factor group in the primitive basis, identity first.

    They act on fractional column vectors of the primitive cell.
    """
    given = operations(space_group)
    _, first = np.unique(given[:, :, :3].reshape(len(given), 9), axis=0, return_index=True)
    given = given[np.sort(first)]
    basis = PRIMITIVE[symbol(space_group)[0]].T  # columns: x_conventional = basis y
    inverse = np.linalg.inv(basis)
    return np.rint(inverse @ given[:, :, :3] @ basis).astype(int), given[:, :, 3] @ inverse.T


class SymmetricCell:
    """Free numbers q ↔ primitive cell: first the free components of k, then each orbit's free coordinates.

    Attributes:
        element, orbit: (n,) atomic number and orbit of each atom of the primitive cell.
        start: (d,) q of the given unit.
        rotation, partner, shift: operation o takes atom i at y to rotation[o] y + … = the atom partner[o, i],
            moved by the lattice vector shift[o, i]; whatever the free coordinates are.
    """

    def __init__(self, unit: AsymmetricUnit) -> None:
        table, row = wyckoff_table(), unit.wyckoff
        number = unit.space_group
        self._unit = unit
        self._free = np.flatnonzero(free_coefficients()[number - 1])
        self._k = constrain(k_from_lattice(unit.lattice[None]), np.array([number]))[0]
        self._primitive = PRIMITIVE[symbol(number)[0]]
        to_primitive = np.linalg.inv(self._primitive)
        variables = [np.flatnonzero(np.abs(table.generator[r, :, :3]).sum(axis=0) > 0) for r in row]
        count = np.array([len(v) for v in variables], int)
        first = len(self._free) + np.concatenate([[0], np.cumsum(count)])
        self.start = np.concatenate(
            [self._k[self._free], *(x[v] for x, v in zip(unit.position, variables, strict=True))]
        )
        self._variables, self._first = variables, first
        constant, slope, orbit = [], [], []
        for index, r in enumerate(row):
            template = table.generator[r]
            made = table.operations[table.operation_start[r] : table.operation_start[r + 1]]
            offset = (made[:, :, :3] @ template[:, 3] + made[:, :, 3]) @ to_primitive
            free = np.einsum("oij,jv,ik->okv", made[:, :, :3], template[:, variables[index]], to_primitive)
            kept = _distinct(offset, free)
            constant.append(offset[kept])
            wide = np.zeros((len(kept), 3, len(self.start)))
            wide[:, :, first[index] : first[index + 1]] = free[kept]
            slope.append(wide)
            orbit.append(np.full(len(kept), index))
        self._constant, self._slope = np.concatenate(constant), np.concatenate(slope)
        self.orbit = np.concatenate(orbit)
        self.element = np.asarray(unit.element)[self.orbit]
        self.rotation, translation = primitive_operations(number)
        self.partner, self.shift = self._partners(translation)
        self._last: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def _partners(self, translation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Image of each atom under each operation, found at free coordinates where no two atoms can be confused."""
        position = self._position(np.random.default_rng(0).random(len(self.start)))
        image = np.einsum("oij,nj->oni", self.rotation, position) + translation[:, None]
        difference = image[:, :, None] - position[None, None]  # (g, n, n, 3)
        away = np.abs(difference - np.rint(difference)).max(axis=3)
        away = np.where(self.orbit[:, None] == self.orbit[None], away, np.inf)  # orbits may sit on one another
        partner = away.argmin(axis=2)
        chosen = np.take_along_axis(difference, partner[:, :, None, None], axis=2)[:, :, 0]
        return partner, np.rint(chosen).astype(int)

    def _position(self, q: np.ndarray) -> np.ndarray:
        return self._constant + self._slope @ q

    def geometry(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Primitive cell (3, 3), rows in Å, and fractional positions (n, 3), not wrapped."""
        return self._primitive @ self._conventional(q), self._position(q)

    def unit(self, q: np.ndarray) -> AsymmetricUnit:
        """The crystal that `geometry` gives the primitive cell of, with the letters and elements of the given unit."""
        free = np.zeros((len(self._variables), 3))
        for index, variables in enumerate(self._variables):
            free[index, variables] = q[self._first[index] : self._first[index + 1]]
        template = wyckoff_table().generator[self._unit.wyckoff]
        position = wrap((template[:, :, :3] @ free[:, :, None])[..., 0] + template[:, :, 3])
        given = self._unit
        return AsymmetricUnit.exact(given.space_group, self._conventional(q), given.element, given.letter, position)

    def _conventional(self, q: np.ndarray) -> np.ndarray:
        k = self._k.copy()
        k[self._free] = q[: len(self._free)]
        return lattice_from_k(k[None])[0]

    def directions(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Change of the crystal with each number: shifts (d, n, 3) in Å and symmetric strains (d, 3, 3).

        Strain is what cell rows a become, a(1 + ε), up to a rotation; shifts come on top of what strain does.
        """
        if self._last is None or not np.array_equal(self._last[0], q):  # one point is asked for several times
            self._last = (q.copy(), *self._directions(q))
        return self._last[1], self._last[2]

    def _directions(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        k = self._k.copy()
        k[self._free] = q[: len(self._free)]
        lattice = lattice_from_k(k[None])[0]
        inverse = np.linalg.inv(lattice)
        # metric = exp(2S): its derivative along B is a divided difference in the eigenbasis of S
        value, vector = np.linalg.eigh(np.einsum("i,ijk->jk", k, BASIS))
        gap = 2 * (value[:, None] - value[None])
        mean = np.exp(value[:, None] + value[None])
        divided = mean * np.where(np.abs(gap) < 1e-8, 1.0, np.sinh(gap / 2) / np.where(gap == 0, 1, gap / 2))
        strain = np.zeros((len(q), 3, 3))
        for index, coefficient in enumerate(self._free):
            metric = vector @ (divided * (vector.T @ (2 * BASIS[coefficient]) @ vector)) @ vector.T
            strain[index] = inverse @ metric @ inverse.T / 2
        return np.einsum("nkd,kj->dnj", self._slope, self._primitive @ lattice), strain

    def symmetrised(self, lattice: np.ndarray, forces: np.ndarray, virial: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Forces (n, 3) and virial (3, 3), averaged over the group (of one orbit member's share: made whole)."""
        columns = lattice.T
        turn = columns @ self.rotation @ np.linalg.inv(columns)  # (g, 3, 3) in Cartesian axes
        forces = np.einsum("gji,gnj->ni", turn, forces[self.partner]) / len(turn)
        virial = np.einsum("gji,jk,gkl->il", turn, virial, turn) / len(turn)
        return forces, virial


def _distinct(offset: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Indices of orbit members that differ by more than a primitive lattice vector, at generic coordinates."""
    member = offset + free @ (np.sqrt([2, 3, 5])[: free.shape[2]] / 7)
    difference = member[:, None] - member[None]
    same = (np.abs(difference - np.rint(difference)) < 1e-6).all(axis=2)
    return np.flatnonzero(same.argmax(axis=1) == np.arange(len(member)))
