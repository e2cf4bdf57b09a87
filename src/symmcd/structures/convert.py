"""Conversion between our arrays and the objects of pymatgen and ASE."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from pymatgen.core import DummySpecies, IStructure, Lattice, Structure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.orbit import Crystals, replicate_flat
from symmcd.errors import InputError
from symmcd.structures.cell import Cell, cells_of
from symmcd.structures.checks import check_crystal
from symmcd.structures.crystal import StructureError

WHOLE = 1e-3  # occupancies so near 1 are 1, as in a CIF


def to_structure(crystal: Cell) -> Structure:
    """pymatgen's Structure of one crystal."""
    return Structure(Lattice(crystal.lattice), crystal.element.tolist(), crystal.position)


def from_structure(structure: IStructure) -> Cell:
    """Arrays of a pymatgen structure: elements, without oxidation states, spins, isotopes, labels and site properties.

    Raises:
        StructureError: as `elements_of_structure` and `check_crystal`.
    """
    crystal = elements_of_structure(structure)
    check_crystal(crystal, _names(structure))
    return crystal


def elements_of_structure(structure: IStructure) -> Cell:
    """Arrays as `from_structure` makes them, of any geometry: nothing is said of cell and positions.

    Raises:
        StructureError: disordered for a site that is partly empty or holds several elements, unknown_element for a
            dummy species, bad_cell where it is not periodic in three directions.
    """
    if not all(structure.lattice.pbc):
        raise StructureError("bad_cell", f"pbc is {structure.lattice.pbc}; a crystal is periodic in three directions")
    elements = np.empty(len(structure), int)
    for i, site in enumerate(structure):
        share: dict[int, float] = {}
        for species, amount in site.species.items():
            if isinstance(species, DummySpecies):
                raise StructureError(
                    "unknown_element",
                    f"site {i} holds the dummy species {species}, which is not an "
                    "element; replace it, or remove the site",
                )
            share[species.Z] = share.get(species.Z, 0.0) + amount  # Fe2+ and Fe3+, H and D: one element
        if len(share) != 1 or not abs(sum(share.values()) - 1) < WHOLE:
            raise StructureError("disordered", f"site {i} holds {site.species_string}; order it first")
        elements[i] = next(iter(share))
    return Cell(np.array(structure.lattice.matrix, float), elements, np.array(structure.frac_coords, float))


def without_decoration(structure: IStructure) -> Structure:
    """The same cell and positions with elements only, whatever its geometry.

    Raises:
        StructureError: as `elements_of_structure`.
    """
    return to_structure(elements_of_structure(structure))


def from_object(crystal: object) -> Cell:
    """Arrays of a pymatgen structure, of ASE's atoms or of an asymmetric unit.

    Raises:
        InputError: another thing.
        StructureError: as `from_structure`.
    """
    if isinstance(crystal, IStructure):
        return from_structure(crystal)
    if isinstance(crystal, AsymmetricUnit):
        return cells_of(replicate_flat(AsymmetricUnits.from_units([crystal])))[0]
    if isinstance(crystal, Atoms):
        if not all(crystal.pbc):
            raise StructureError("bad_cell", f"pbc is {crystal.pbc.tolist()}; a crystal is periodic in all directions")
        raw = from_atoms(crystal)
        check_crystal(raw, [f"atom {i} ({symbol})" for i, symbol in enumerate(crystal.symbols)])
        return raw
    raise InputError(f"expected a crystal (pymatgen's Structure or ASE's Atoms), got {type(crystal).__name__}")


def _names(structure: IStructure) -> list[str]:
    return [f"site {i} ({site.species_string})" for i, site in enumerate(structure)]


def to_atoms(crystal: Cell) -> Atoms:
    """ASE's Atoms of one crystal."""
    return Atoms(crystal.element, cell=crystal.lattice, scaled_positions=crystal.position, pbc=True)


def from_atoms(atoms: Atoms) -> Cell:
    """Arrays of ASE's atoms, positions as they stand (not wrapped into the cell).

    Raises:
        StructureError: bad_cell, as the cell has not three independent, finite vectors.
    """
    if not np.isfinite(atoms.cell.array).all() or atoms.cell.rank < 3:
        raise StructureError("bad_cell", f"{atoms.get_chemical_formula()} has no lattice of three vectors")
    return Cell(atoms.cell.array.copy(), atoms.numbers.copy(), atoms.get_scaled_positions(wrap=False))


def crystals_to_structures(crystals: Crystals) -> list[Structure]:
    """pymatgen's Structure of each cell."""
    return [to_structure(crystal) for crystal in cells_of(crystals)]
