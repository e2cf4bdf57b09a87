"""Between our arrays and the objects of pymatgen and ASE."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from pymatgen.core import Lattice, Structure

from symmcd.crystallography.orbit import Crystals
from symmcd.structures.cif import RawCrystal, StructureError


def to_structure(crystal: RawCrystal) -> Structure:
    """pymatgen's Structure of one crystal."""
    return Structure(Lattice(crystal.lattice), crystal.element.tolist(), crystal.position)


def from_structure(structure: Structure) -> RawCrystal:
    """Arrays of a pymatgen structure.

    Raises:
        StructureError: disordered.
    """
    if not structure.is_ordered:
        raise StructureError("disordered", f"{structure.formula} has partially occupied sites; order it first")
    return RawCrystal(structure.lattice.matrix.copy(), np.array(structure.atomic_numbers), structure.frac_coords.copy())


def to_atoms(crystal: RawCrystal) -> Atoms:
    """ASE's Atoms of one crystal."""
    return Atoms(crystal.element, cell=crystal.lattice, scaled_positions=crystal.position, pbc=True)


def from_atoms(atoms: Atoms) -> RawCrystal:
    """Arrays of ASE's atoms, positions as they stand (not wrapped into the cell).

    Raises:
        StructureError: bad_cell, as the cell has not three independent vectors.
    """
    if atoms.cell.rank < 3:
        raise StructureError("bad_cell", f"{atoms.get_chemical_formula()} has no lattice of three vectors")
    return RawCrystal(atoms.cell.array.copy(), atoms.numbers.copy(), atoms.get_scaled_positions(wrap=False))


def crystals_to_structures(crystals: Crystals) -> list[Structure]:
    """pymatgen's Structure of each cell."""
    return [to_structure(crystal) for crystal in to_raw(crystals)]


def to_raw(crystals: Crystals) -> list[RawCrystal]:
    """One RawCrystal a cell."""
    spans = zip(crystals.start[:-1], crystals.start[1:], strict=True)
    return [
        RawCrystal(crystals.lattice[i], crystals.element[a:b], crystals.position[a:b]) for i, (a, b) in enumerate(spans)
    ]
