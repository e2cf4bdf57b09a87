"""Which crystals a reference set has already, by pymatgen's StructureMatcher with its defaults."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.content import amounts
from symmcd.crystallography.orbit import replicate_flat
from symmcd.metrics.uniqueness import composition_key, reduced
from symmcd.structures.convert import crystals_to_structures


class Novelty:
    """Looks crystals up in a reference set, whose crystals are built when their composition is first asked for."""

    def __init__(self, reference: AsymmetricUnits) -> None:
        self._reference = reference
        self._matcher = StructureMatcher()
        self._rows: dict[bytes, list[int]] = defaultdict(list)
        for row, key in enumerate(composition_keys(reference)):
            self._rows[key].append(row)
        self._built: dict[bytes, list[Structure]] = {}

    def match(self, structure: Structure) -> str | None:
        """Label of the first crystal of the reference set that matches; None if the structure is new."""
        key = composition_key(structure)
        if key not in self._rows:
            return None
        rows = self._rows[key]
        if key not in self._built:
            known = crystals_to_structures(replicate_flat(self._reference.take(rows)))
            self._built[key] = [reduced(other) for other in known]
        own = reduced(structure)
        for row, other in zip(rows, self._built[key], strict=True):
            # the matcher refuses primitive cells of different sizes itself, later
            if len(other) == len(own) and self._matcher.fit(own, other, skip_structure_reduction=True):
                return str(self._reference.label[row])
        return None

    def is_new(self, structure: Structure) -> bool:
        """No crystal of the reference set matches."""
        return self.match(structure) is None


def composition_keys(units: AsymmetricUnits) -> list[bytes]:
    """`composition_key` of each crystal."""
    counts = amounts(units)
    counts //= np.gcd.reduce(counts, axis=1)[:, None]
    return [row.astype(np.uint16).tobytes() for row in counts]
