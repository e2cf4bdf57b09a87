"""Between our arrays and the objects of pymatgen and ASE."""

from __future__ import annotations

from ase import Atoms
from pymatgen.core import Lattice, Structure

from symmcd.crystallography.orbit import Crystals
from symmcd.structures.cif import RawCrystal


def to_structure(crystal: RawCrystal) -> Structure:
    """pymatgen's Structure of one crystal."""
    return Structure(Lattice(crystal.lattice), crystal.element.tolist(), crystal.position)


def from_structure(structure: Structure) -> RawCrystal:
    """Arrays of an ordered pymatgen structure."""
    import numpy as np

    return RawCrystal(structure.lattice.matrix.copy(), np.array(structure.atomic_numbers), structure.frac_coords.copy())


def to_atoms(crystal: RawCrystal) -> Atoms:
    """ASE's Atoms of one crystal."""
    return Atoms(crystal.element, cell=crystal.lattice, scaled_positions=crystal.position, pbc=True)


def to_raw(crystals: Crystals) -> list[RawCrystal]:
    """One RawCrystal a cell."""
    spans = zip(crystals.start[:-1], crystals.start[1:], strict=True)
    return [
        RawCrystal(crystals.lattice[i], crystals.element[a:b], crystals.position[a:b]) for i, (a, b) in enumerate(spans)
    ]
