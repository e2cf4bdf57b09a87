"""Which crystals are a known structure with other elements in it: novelty after element substitution.

A crystal is a substitution in a crystal of the reference set if both have the same space group and the same anonymous
formula (AB2, ABC3, …), and pymatgen's StructureMatcher with its defaults matches them under some one-to-one exchange of
elements (`fit_anonymous`).
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.content import amounts
from symmcd.crystallography.lattice import lattice_from_k
from symmcd.crystallography.orbit import replicate_flat
from symmcd.metrics.continuous_distance import distances_of_structure, distances_of_units
from symmcd.metrics.uniqueness import reduced
from symmcd.structures.convert import crystals_to_structures

Key = tuple[int, tuple[int, ...]]


class Prototypes:
    """Looks crystals up in a reference set whatever their elements; its crystals are built when first asked for."""

    def __init__(self, reference: AsymmetricUnits, distances: np.ndarray | None = None) -> None:
        """Index `reference`; `distances` are its `distances_of_units`, where they are known already."""
        self._reference = reference
        size = np.cbrt(np.linalg.det(lattice_from_k(reference.lattice)) / reference.number_of_atoms)  # Å an atom
        self._shape = (distances_of_units(reference) if distances is None else distances) / size[:, None]
        self._matcher = StructureMatcher()
        self._rows: dict[Key, list[int]] = defaultdict(list)
        for row, (group, formula) in enumerate(
            zip(reference.space_group.tolist(), _anonymous_formulas(reference), strict=True)
        ):
            self._rows[group, formula].append(row)
        self._built: dict[int, Structure] = {}

    def match(self, structure: Structure, space_group: int) -> str | None:
        """Label of a crystal of the reference set that is a substitution of this one; None for a new prototype.

        All of the same group and anonymous formula are tried but those whose primitive cells have another number of
        atoms, which the matcher refuses; first those most alike in average minimum distances, scaled to one volume.
        """
        key = (space_group, anonymous_formula(np.bincount(structure.atomic_numbers)))
        if key not in self._rows:
            return None
        rows = np.array(self._rows[key])
        size = np.cbrt(structure.volume / len(structure))
        shape = distances_of_structure(structure) / size
        own = reduced(structure)
        for row in rows[np.argsort(np.abs(self._shape[rows] - shape).max(axis=1), kind="stable")].tolist():
            other = self._structure(row)
            if len(other) == len(own) and self._matcher.fit_anonymous(own, other, skip_structure_reduction=True):
                return str(self._reference.label[row])
        return None

    def _structure(self, row: int) -> Structure:
        if row not in self._built:
            (structure,) = crystals_to_structures(replicate_flat(self._reference.take([row])))
            self._built[row] = reduced(structure)
        return self._built[row]


def anonymous_formula(counts: np.ndarray) -> tuple[int, ...]:
    """Amounts of the elements, ascending and without common factor: (1, 1, 3) of a perovskite.

    Args:
        counts: atoms of each element.
    """
    present = np.sort(counts[counts > 0])
    return tuple((present // np.gcd.reduce(present)).tolist())


def _anonymous_formulas(units: AsymmetricUnits) -> list[tuple[int, ...]]:
    return [anonymous_formula(row) for row in amounts(units)]
