"""A set of known crystals to compare with: training set, held-out set, or one of the sets that S.U.N. looks in.

A crystal is the same as a known one if pymatgen's StructureMatcher matches them with its defaults; it is a substitution
in a known one if both have the same space group and the same anonymous formula (AB2, ABC3, …), and the matcher matches
them under some one-to-one exchange of elements (`fit_anonymous`).
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.content import amounts, densities, number_of_elements, templates
from symmcd.crystallography.lattice import lattice_from_k
from symmcd.crystallography.normaliser import canonical_template
from symmcd.crystallography.orbit import replicate_flat
from symmcd.metrics.continuous_distance import distances_of_structure, distances_of_units
from symmcd.metrics.magpie import Scale, composition_fingerprints
from symmcd.metrics.matching import composition_key, reduced
from symmcd.storage import read_units
from symmcd.structures.cell import Cell, cells_of
from symmcd.structures.convert import to_structure


class ReferenceSet:
    """Reduced crystals; derived quantities are computed when they are first needed, and once."""

    def __init__(self, units: AsymmetricUnits, shape: np.ndarray | None = None) -> None:
        """Keep `units`; `shape` is what this set's `shape` was in another process, where it is known already."""
        self.units = units
        self._whole: list[Cell] | None = None  # conventional cells, once all have been needed
        self._built: dict[int, Structure] = {}  # primitive Niggli cells
        self._matcher = StructureMatcher()
        if shape is not None:
            self.shape = shape

    def __len__(self) -> int:
        return len(self.units)

    @functools.cached_property
    def templates(self) -> list[str]:
        """One name per crystal."""
        return templates(self.units)

    @functools.cached_property
    def canonical_templates(self) -> frozenset[str]:
        """Templates without the choice of origin and axes (`normaliser.canonical_template`), each once."""
        return frozenset(map(canonical_template, set(self.templates)))

    @functools.cached_property
    def density(self) -> np.ndarray:
        """(B,) g/cm³."""
        return densities(self.units)

    @functools.cached_property
    def elements(self) -> np.ndarray:
        """(B,) different elements."""
        return number_of_elements(self.units)

    @property
    def space_group(self) -> np.ndarray:
        """(B,) as found at the tolerance of the reduction."""
        return self.units.space_group

    @functools.cached_property
    def scale(self) -> Scale:
        """Standardisation of composition fingerprints on this set."""
        return Scale.of(composition_fingerprints(amounts(self.units)))

    @functools.cached_property
    def shape(self) -> np.ndarray:
        """(B, `continuous_distance.NEIGHBOURS`) average minimum distances, Å."""
        crystals = replicate_flat(self.units)
        self._whole = cells_of(crystals)
        return distances_of_units(self.units, crystals=crystals)

    def match(self, structure: Structure) -> str | None:
        """Label of the first crystal that is the same; None if the structure is new."""
        rows = self._of_composition.get(composition_key(structure), [])
        if not rows:
            return None
        own = reduced(structure)
        for row, other in zip(rows, self._reduced(rows), strict=True):
            # the matcher refuses primitive cells of different sizes itself, later
            if len(other) == len(own) and self._matcher.fit(own, other, skip_structure_reduction=True):
                return str(self.units.label[row])
        return None

    def match_prototype(self, structure: Structure, space_group: int) -> str | None:
        """Label of a crystal that this one is a substitution in; None for a new prototype.

        All of the same group and anonymous formula are tried but those whose primitive cells have another number of
        atoms, which the matcher refuses; first those most alike in average minimum distances, scaled to one volume.
        """
        known = self._of_prototype.get((space_group, anonymous_formula(np.bincount(structure.atomic_numbers))))
        if known is None:
            return None
        rows = np.array(known)
        size = np.cbrt(structure.volume / len(structure))
        shape = distances_of_structure(structure) / size
        own = reduced(structure)
        unlike = np.abs(self._scaled_shape[rows] - shape).max(axis=1)
        for row in rows[np.argsort(unlike, kind="stable")].tolist():
            (other,) = self._reduced([row])
            if len(other) == len(own) and self._matcher.fit_anonymous(own, other, skip_structure_reduction=True):
                return str(self.units.label[row])
        return None

    @functools.cached_property
    def _of_composition(self) -> dict[bytes, list[int]]:
        rows: dict[bytes, list[int]] = defaultdict(list)
        for row, key in enumerate(composition_keys(self.units)):
            rows[key].append(row)
        return rows

    @functools.cached_property
    def _of_prototype(self) -> dict[tuple[int, tuple[int, ...]], list[int]]:
        rows: dict[tuple[int, tuple[int, ...]], list[int]] = defaultdict(list)
        formulas = map(anonymous_formula, amounts(self.units))
        for row, key in enumerate(zip(self.space_group.tolist(), formulas, strict=True)):
            rows[key].append(row)
        return rows

    @functools.cached_property
    def _scaled_shape(self) -> np.ndarray:
        volume = np.linalg.det(lattice_from_k(self.units.k))
        return self.shape / np.cbrt(volume / self.units.number_of_atoms)[:, None]

    def _reduced(self, rows: Sequence[int]) -> list[Structure]:
        """Primitive Niggli cells."""
        missing = [row for row in rows if row not in self._built]
        if missing and self._whole is not None:
            cells = [self._whole[row] for row in missing]
        elif missing:
            cells = cells_of(replicate_flat(self.units.take(missing)))
        else:
            cells = []
        self._built |= zip(missing, (reduced(to_structure(cell)) for cell in cells), strict=True)
        return [self._built[row] for row in rows]


def composition_keys(units: AsymmetricUnits) -> list[bytes]:
    """`composition_key` of each crystal."""
    counts = amounts(units)
    counts //= np.gcd.reduce(counts, axis=1)[:, None]
    return [row.astype(np.uint16).tobytes() for row in counts]


def anonymous_formula(counts: np.ndarray) -> tuple[int, ...]:
    """Amounts of the elements, ascending and without common factor: (1, 1, 3) of a perovskite.

    Args:
        counts: atoms of each element.
    """
    present = np.sort(counts[counts > 0])
    return tuple((present // np.gcd.reduce(present)).tolist())


@dataclass(frozen=True, eq=False)
class KnownCrystals:
    """A reference set under its name."""

    name: str
    crystals: ReferenceSet


def known_crystals(given: AsymmetricUnits | Path | str | None, name: str) -> KnownCrystals | None:
    """A set, called by the name of its file where it is from one; None if nothing is given.

    Raises:
        InputError: a file that cannot be read.
    """
    if isinstance(given, str | PathLike):
        return KnownCrystals(Path(given).stem, ReferenceSet(read_units(Path(given))))
    return None if given is None else KnownCrystals(name, ReferenceSet(given))
