"""Content of crystals: amounts of elements, formula, atoms, density and template, for many crystals at once."""

from __future__ import annotations

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.composition import HEAVIEST, SYMBOLS, reduced_formula
from symmcd.crystallography.elements import atomic_masses
from symmcd.crystallography.flat_orbits import FlatOrbits
from symmcd.crystallography.lattice import lattice_from_k
from symmcd.crystallography.normaliser import canonical_arrangement
from symmcd.crystallography.space_group import lattice_points
from symmcd.crystallography.wyckoff import wyckoff_table

LETTERS = "abcdefghijklmnopqrstuvwxyzA"  # letters of Wyckoff positions
GRAMS_PER_DALTON_PER_CUBIC_ANGSTROM = 1.66053906660


def amounts(units: FlatOrbits) -> np.ndarray:
    """(B, 119) atoms of each element, by atomic number, in the conventional cells."""
    counts = np.zeros((len(units), HEAVIEST + 1), np.int64)
    np.add.at(counts, (units.crystal, units.element), wyckoff_table().multiplicity[units.wyckoff])
    return counts


def number_of_elements(units: FlatOrbits) -> np.ndarray:
    """(B,) different elements in each crystal."""
    pairs = np.unique(np.stack([units.crystal, units.element], axis=1), axis=0)
    return np.bincount(pairs[:, 0], minlength=len(units))


def formulas(units: FlatOrbits) -> list[str]:
    """Reduced formula of each crystal, such as ``LiFePO4`` (`composition.reduced_formula`)."""
    return [reduced_formula({z: int(row[z]) for z in np.flatnonzero(row).tolist()}) for row in amounts(units)]


def primitive_atoms(units: FlatOrbits) -> np.ndarray:
    """(B,) atoms in each primitive cell."""
    points = np.array([lattice_points(group) for group in units.space_group.tolist()], dtype=int)
    return units.number_of_atoms // points


def densities(units: AsymmetricUnits) -> np.ndarray:
    """(B,) g/cm³."""
    atoms = np.array(atomic_masses())[units.element] * wyckoff_table().multiplicity[units.wyckoff]
    mass = np.add.reduceat(atoms, units.start[:-1]) if len(units) else np.zeros(0)
    return mass / np.linalg.det(lattice_from_k(units.k)) * GRAMS_PER_DALTON_PER_CUBIC_ANGSTROM


def templates(units: FlatOrbits) -> list[str]:
    """Template of each crystal, space group and occupied Wyckoff letters as in ``225_a_b`` (paper, Table 1).

    Letters depend on the choice of origin and axes; `normaliser.canonical_template` takes that choice out.
    """
    letter = wyckoff_table().letter[units.wyckoff]
    ordered = letter[np.lexsort((letter, units.crystal))].tolist()
    crystals = zip(units.space_group.tolist(), units.start[:-1].tolist(), units.start[1:].tolist(), strict=True)
    return ["_".join([str(group), *ordered[first:last]]) for group, first, last in crystals]


def arrangements(units: FlatOrbits) -> list[str]:
    """Space group, Wyckoff letters and elements of each crystal as one text, such as ``225_aCl_bNa``.

    It is the same for all choices of origin and axes and orders of orbits (`normaliser.canonical_arrangement`), so that
    two crystals of one text differ in their geometry alone.  A crystal and its mirror image in the other group of an
    enantiomorphic pair (P4₁ and P4₃) have different texts.
    """
    letter = units.wyckoff - wyckoff_table().start[units.space_group[units.crystal] - 1]
    letters, elements, edges = letter.tolist(), units.element.tolist(), units.start.tolist()
    found = []
    for group, first, last in zip(units.space_group.tolist(), edges[:-1], edges[1:], strict=True):
        orbits = canonical_arrangement(group, letters[first:last], elements[first:last])
        found.append("_".join([str(group), *(LETTERS[n // 256] + SYMBOLS[n % 256 - 1] for n in orbits)]))
    return found
