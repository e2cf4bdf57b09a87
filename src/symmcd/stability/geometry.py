"""Geometry of crystals before and after relaxation: primitive cell, space group, shortest distance."""

from __future__ import annotations

import numpy as np
from pymatgen.core import Structure

from symmcd.structures import symmetry_search
from symmcd.structures.convert import elements_of_structure, to_structure


def is_finite(structure: Structure) -> bool:
    """Return whether cell and positions are numbers."""
    return bool(np.isfinite(structure.lattice.matrix).all() and np.isfinite(structure.frac_coords).all())


def primitive_cell(structure: Structure, symprec: float = 1e-3) -> Structure:
    """A reduced primitive cell, geometry untouched; the cell as it is where spglib finds none (overlapping atoms).

    Args:
        structure: any cell.
        symprec: tolerance in Å, tight, as nothing may be idealised here.
    """
    return to_structure(symmetry_search.primitive_cell(elements_of_structure(structure), symprec))


def space_group_number(structure: Structure, symprec: float) -> int | None:
    """Space group that spglib finds within `symprec` Å; None if it finds none (overlapping atoms)."""
    return symmetry_search.space_group_number(elements_of_structure(structure), symprec)


def shortest_distance(structure: Structure) -> float:
    """Shortest distance between two atoms, own images included, in Å."""
    vectors = structure.lattice.get_lll_reduced_lattice().matrix
    shortest = float(np.linalg.norm(vectors, axis=1).min())
    if len(structure) > 1:
        pairs = structure.distance_matrix[np.triu_indices(len(structure), 1)]
        shortest = min(shortest, float(pairs.min()))
    return shortest
