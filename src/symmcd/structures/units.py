"""The public pair: any pymatgen structure → asymmetric unit → exactly symmetric structure."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path

import numpy as np
from ase import Atoms
from pymatgen.core import IStructure, Lattice, Structure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.orbit import replicate_flat
from symmcd.errors import InputError
from symmcd.structures.cell import Cell
from symmcd.structures.convert import from_object
from symmcd.structures.crystal import StructureError
from symmcd.structures.standard_cell import reduce_cells, standard_cell
from symmcd.structures.symmetry_search import SymmetryError, check_symprec

EXPECTED = "a crystal (pymatgen's Structure or ASE's Atoms) or the path of a file with one, such as a .cif"


def reduce(structure: IStructure | Atoms | Path | str, symprec: float = 0.1) -> AsymmetricUnit:
    """Asymmetric unit of a crystal, in the standard setting of International Tables A.

    The crystal is idealised to the symmetry that spglib finds; no atom is lost: the result's composition is checked.

    Args:
        structure: ordered crystal, any cell: pymatgen's Structure, ASE's Atoms, or the path of a file with one crystal,
            of any kind that `read_structures` reads.  Oxidation states, spins and isotopes are left out.
        symprec: tolerance of the symmetry search, Å.

    Raises:
        SymmetryError: no ordered crystal of elements (`check_crystal`), no symmetry found, or atoms that fit no orbit
            of the group found.
        InputError: a file that cannot be read or does not hold one crystal, another kind of object, or no tolerance.
    """
    symprec = check_symprec(symprec)
    try:
        if isinstance(structure, str | PathLike):
            return reduce_crystal(_only_crystal(structure), symprec)
        if not isinstance(structure, IStructure | Atoms):
            raise InputError(f"reduce({structure!r:.60}): expected {EXPECTED}, got {type(structure).__name__}")
        return reduce_crystal(from_object(structure), symprec)
    except StructureError as error:
        raise SymmetryError(error.reason, error.detail) from None


def reduce_crystal(crystal: Cell, symprec: float) -> AsymmetricUnit:
    """`reduce` of arrays that `check_crystal` has passed.

    Raises:
        SymmetryError: no symmetry found, or atoms that fit no orbit of the group found.
    """
    cell = standard_cell(crystal, symprec)
    units, _, failures = reduce_cells([cell], [""], symprec)
    if failures:
        raise failures[0]
    unit = units[0]
    given = {int(z): int(n) for z, n in zip(*np.unique(crystal.element, return_counts=True), strict=True)}
    found, ratio = unit.composition, unit.number_of_atoms / len(crystal.element)
    if any(found.get(z, 0) != count * ratio for z, count in given.items()):
        raise SymmetryError(
            "composition_changed", f"{given} became {found} in the standard cell; lower symprec = {symprec}"
        )
    return unit


def _only_crystal(path: PathLike[str] | str) -> Cell:
    """The one crystal of a file.

    Raises:
        InputError: unreadable, or several crystals.
        StructureError: it cannot be used.
    """
    from symmcd.structures.read import read_structures

    crystals = read_structures(existing(path))
    if len(crystals) > 1:
        names = ", ".join(name for name, _ in crystals[:3])
        raise InputError(
            f"{path}: {len(crystals)} crystals ({names}, …), and one is expected; reduce files of many with "
            "`symmcd reduce`, or read them with symmcd.structures.read.read_structures"
        )
    crystal = crystals[0][1]
    if isinstance(crystal, StructureError):
        raise StructureError(crystal.reason, f"{crystal.detail} ({path})")
    return crystal


def existing(path: PathLike[str] | str, expected: str = EXPECTED) -> Path:
    """Return a path that a user gave, if it exists; `expected` says in the message what it may be.

    Raises:
        InputError: it does not exist, or the text is not a path at all, such as the content of a file.
    """
    text = fspath(path)
    try:
        if text and Path(text).exists():
            return Path(text)
    except (OSError, ValueError):  # too long for a path, or a character that none has
        pass
    raise InputError(f"{text[:200]!r}: no such file or folder; expected {expected}")


def replicate(unit: AsymmetricUnit) -> Structure:
    """Conventional standard cell: the exact orbit of each representative (paper, appendix A).

    Sites carry the properties ``wyckoff`` (letter) and ``orbit`` (index into the unit).

    Raises:
        InputError: it is no asymmetric unit.
    """
    if not isinstance(unit, AsymmetricUnit):
        raise InputError(f"replicate({unit!r:.60}): expected an AsymmetricUnit, got {type(unit).__name__}")
    units = AsymmetricUnits.from_units([unit])
    crystal = replicate_flat(units)
    return Structure(
        Lattice(crystal.lattice[0]),
        crystal.element.tolist(),
        crystal.position,
        site_properties={"wyckoff": [unit.letter[i] for i in crystal.orbit], "orbit": crystal.orbit.tolist()},
    )
