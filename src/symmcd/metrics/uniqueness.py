"""Which crystals are the same: pymatgen's StructureMatcher with its defaults, exact result, few comparisons."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.orbit import replicate_flat
from symmcd.crystallography.wyckoff import wyckoff_table


def first_of_its_kind(structures: Sequence[Structure]) -> list[bool]:
    """True for each structure that no earlier one matches (FlowMM keeps the first of duplicates).

    Only structures of the same reduced formula are compared: the matcher's own first condition.
    """
    matcher = StructureMatcher()
    kept: dict[str, list[Structure]] = defaultdict(list)
    verdict = []
    for structure in structures:
        family = kept[structure.composition.reduced_formula]
        new = not any(matcher.fit(structure, other) for other in family)
        if new:
            family.append(structure)
        verdict.append(new)
    return verdict


class Novelty:
    """Asks whether a crystal matches one of a reference set; reference crystals are built when their formula is asked for."""

    def __init__(self, reference: AsymmetricUnits) -> None:
        self._reference = reference
        self._matcher = StructureMatcher()
        self._rows: dict[bytes, list[int]] = defaultdict(list)
        for row, key in enumerate(composition_keys(reference)):
            self._rows[key].append(row)
        self._built: dict[bytes, list[Structure]] = {}

    def is_new(self, structure: Structure) -> bool:
        """No crystal of the reference set matches."""
        key = composition_key(structure)
        if key not in self._rows:
            return True
        if key not in self._built:
            self._built[key] = structures(self._reference.take(self._rows[key]))
        return not any(self._matcher.fit(structure, other) for other in self._built[key])


def composition_keys(units: AsymmetricUnits) -> list[bytes]:
    """Reduced composition of each crystal as bytes that can be compared."""
    counts = np.zeros((len(units), 119), np.int64)
    np.add.at(counts, (units.crystal, units.element), wyckoff_table().multiplicity[units.wyckoff])
    counts //= np.gcd.reduce(counts, axis=1)[:, None]
    return [row.astype(np.uint16).tobytes() for row in counts]


def composition_key(structure: Structure) -> bytes:
    """The same key of one structure."""
    counts = np.bincount(structure.atomic_numbers, minlength=119)
    return (counts // np.gcd.reduce(counts)).astype(np.uint16).tobytes()


def structures(units: AsymmetricUnits) -> list[Structure]:
    """Conventional cells as pymatgen structures."""
    crystals = replicate_flat(units)
    return [
        Structure(Lattice(cell), crystals.element[a:b].tolist(), crystals.position[a:b])
        for cell, a, b in zip(crystals.lattice, crystals.start[:-1], crystals.start[1:], strict=True)
    ]
