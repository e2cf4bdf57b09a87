"""Known crystals, for the tests of energies and relaxations."""

import numpy as np
from pymatgen.core import Lattice, Structure


def _spinel():
    positions = [[0.125] * 3, [0.5] * 3, [0.2624] * 3]
    return Structure.from_spacegroup("Fd-3m:2", Lattice.cubic(8.08), ["Mg", "Al", "O"], positions)


def _orthorhombic_perovskite():
    """CaTiO3, 20 atoms."""
    positions = [[0.036, 0.25, 0.993], [0, 0, 0.5], [0.484, 0.25, 0.071], [0.289, 0.037, 0.711]]
    return Structure.from_spacegroup("Pnma", Lattice.orthorhombic(5.44, 7.64, 5.38), ["Ca", "Ti", "O", "O"], positions)


CRYSTALS = {
    "tungsten": Structure(Lattice.cubic(3.17), ["W", "W"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
    "caesium": Structure(Lattice.cubic(6.1), ["Cs", "Cs"], [[0, 0, 0], [0.5, 0.5, 0.5]]),  # no bond makes an angle
    "rock salt": Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.69), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
    "rutile": Structure.from_spacegroup(
        "P4_2/mnm", Lattice.tetragonal(4.65, 2.97), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]
    ),
    "wurtzite": Structure.from_spacegroup(
        "P6_3mc", Lattice.hexagonal(3.25, 5.21), ["Zn", "O"], [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.382]]
    ),
    "corundum": Structure.from_spacegroup(
        "R-3c", Lattice.hexagonal(4.81, 13.12), ["Al", "O"], [[0, 0, 0.352], [0.306, 0, 0.25]]
    ),
    "spinel": _spinel(),
    "perovskite": Structure.from_spacegroup(
        "Pm-3m", Lattice.cubic(4.2), ["Ba", "Zr", "O"], [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0]]
    ),
    "orthorhombic perovskite": _orthorhombic_perovskite(),
}


def displaced(structure, distance, seed=0):
    """Every atom moved by `distance` Å in a random direction."""
    shift = np.random.default_rng(seed).normal(size=(len(structure), 3))
    shift *= distance / np.linalg.norm(shift, axis=1, keepdims=True)
    return Structure(structure.lattice, structure.species, structure.cart_coords + shift, coords_are_cartesian=True)
