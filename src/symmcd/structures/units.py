"""The public pair: any pymatgen structure → asymmetric unit → exactly symmetric structure."""

from __future__ import annotations

import numpy as np
from pymatgen.core import Lattice, Structure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.orbit import replicate_flat
from symmcd.structures.symmetry import SymmetryError, reduce_cells, standard_cell


def reduce(structure: Structure, symprec: float = 0.1) -> AsymmetricUnit:
    """Asymmetric unit of a crystal, in the standard setting of International Tables A.

    The crystal is idealised to the symmetry that spglib finds; no atom is lost: the result's composition is checked.

    Args:
        structure: ordered crystal, any cell.
        symprec: tolerance of the symmetry search, Å.

    Raises:
        SymmetryError: a disordered site, no symmetry found, or atoms that fit no orbit of the group found.
    """
    if not structure.is_ordered:
        raise SymmetryError("disordered", f"{structure.formula} has partially occupied sites; order it first")
    numbers = np.array(structure.atomic_numbers)
    cell = standard_cell(structure.lattice.matrix, structure.frac_coords, numbers, symprec)
    units, _, failures = reduce_cells([cell], [structure.formula], symprec)
    if failures:
        raise failures[0]
    unit = units[0]
    found, given = unit.composition, dict(zip(*np.unique(numbers, return_counts=True), strict=True))
    ratio = unit.number_of_atoms / len(numbers)
    if any(found.get(int(z), 0) != count * ratio for z, count in given.items()):
        raise SymmetryError(
            "composition_changed", f"{given} became {found} in the standard cell; lower symprec = {symprec}"
        )
    return unit


def replicate(unit: AsymmetricUnit) -> Structure:
    """Conventional standard cell: the exact orbit of each representative (paper, appendix A).

    Sites carry the properties ``wyckoff`` (letter) and ``orbit`` (index into the unit).
    """
    units = AsymmetricUnits.from_units([unit])
    crystal = replicate_flat(units)
    return Structure(
        Lattice(crystal.lattice[0]),
        crystal.element.tolist(),
        crystal.position,
        site_properties={"wyckoff": [unit.letter[i] for i in crystal.orbit], "orbit": crystal.orbit.tolist()},
    )
