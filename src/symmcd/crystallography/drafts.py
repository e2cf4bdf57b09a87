"""Crystals before a geometry: space group, occupied Wyckoff positions and elements (Wyckoff representations)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from symmcd.crystallography import content
from symmcd.crystallography.flat_orbits import FlatOrbits, joined_starts, orbits_of
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.errors import InputError

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Drafts(FlatOrbits):
    """B crystals without lattice and coordinates, as `Generator.draft` draws them.

    A draft is named by its number: it has the same random numbers, and so the same geometry, whatever others there are.
    """

    space_group: np.ndarray  # (B,) 1 … 230
    start: np.ndarray  # (B + 1,) of the orbits
    element: np.ndarray  # (A,) atomic number
    wyckoff: np.ndarray  # (A,) row of the Wyckoff table
    number: np.ndarray  # (B,) which random numbers of `seed` each was drawn with
    log_probability: np.ndarray  # (B,) natural logarithm of the model's p(space group, orbits, positions, elements)
    seed: int = 0
    asked: tuple[Any, ...] = ()  # constraints that their geometries have to fulfil, see `symmcd.diffusion.constraints`

    def name(self, index: int) -> str:
        return str(self.number[index])

    @property
    def orbits(self) -> np.ndarray:
        """(B,) orbits of each crystal."""
        return np.diff(self.start)

    @property
    def atoms(self) -> np.ndarray:
        """(B,) atoms in each primitive cell."""
        return content.primitive_atoms(self)

    @property
    def letters(self) -> list[tuple[str, ...]]:
        """Wyckoff letter of each orbit, a tuple per crystal; ``A`` is the 27th, of group 47."""
        return self._split(wyckoff_table().letter[self.wyckoff].tolist())

    @property
    def elements(self) -> list[tuple[int, ...]]:
        """Atomic number of each orbit, a tuple per crystal."""
        return self._split(self.element.tolist())

    @property
    def formula(self) -> list[str]:
        """Reduced formula of each crystal, such as ``LiFePO4``."""
        return content.formulas(self)

    @property
    def arrangement(self) -> list[str]:
        """One text for each crystal, the same for all its descriptions; see `content.arrangements`."""
        return content.arrangements(self)

    def take(self, indices: Sequence[int] | np.ndarray) -> Drafts:
        """The drafts at `indices`, in that order; they keep their numbers."""
        indices = np.asarray(indices)
        indices = np.flatnonzero(indices) if indices.dtype == bool else indices.astype(int)
        start, rows = orbits_of(self.start, indices)
        return replace(
            self, space_group=self.space_group[indices], start=start, element=self.element[rows],
            wyckoff=self.wyckoff[rows], number=self.number[indices], log_probability=self.log_probability[indices],
        )  # fmt: skip

    @classmethod
    def none(cls, seed: int = 0, asked: tuple[Any, ...] = ()) -> Drafts:
        """No drafts, of a seed and of constraints of geometries."""
        none = np.zeros(0, int)
        return cls(none, np.zeros(1, int), none, none, none, np.zeros(0), seed, asked)

    @classmethod
    def concatenate(cls, parts: Sequence[Drafts]) -> Drafts:
        """All drafts of `parts`, in order.

        Raises:
            InputError: none, or drafts of different seeds, whose geometries would not be their own.
        """
        seeds = sorted({part.seed for part in parts})
        if len(seeds) != 1:
            raise InputError(f"drafts of the seeds {seeds}: expected at least one set, all of the same seed")
        names = ("space_group", "element", "wyckoff", "number", "log_probability")
        joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        return cls(start=joined_starts([part.start for part in parts]), seed=seeds[0], asked=parts[0].asked, **joined)

    def _split(self, values: list[T]) -> list[tuple[T, ...]]:
        return [tuple(values[first:last]) for first, last in itertools.pairwise(self.start.tolist())]
