"""Positions and elements of many crystals as flat arrays: what crystals with and without a geometry share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from symmcd.crystallography.wyckoff import wyckoff_table


class FlatOrbits:
    """B crystals, orbits one after the other; crystal i has orbits ``start[i]:start[i+1]``."""

    space_group: np.ndarray  # (B,)
    start: np.ndarray  # (B + 1,)
    element: np.ndarray  # (A,) atomic number
    wyckoff: np.ndarray  # (A,) row of the Wyckoff table

    def __len__(self) -> int:
        return len(self.space_group)

    def name(self, index: int) -> str:
        """Name of the crystal at `index` in messages."""
        return str(index)

    @property
    def crystal(self) -> np.ndarray:
        """(A,) index of the crystal that each orbit belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.start))

    @property
    def number_of_atoms(self) -> np.ndarray:
        """(B,) atoms in each conventional cell."""
        return (
            np.add.reduceat(wyckoff_table().multiplicity[self.wyckoff], self.start[:-1])
            if len(self)
            else np.zeros(0, int)
        )


def orbits_of(start: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Orbits of the crystals at `indices`, in that order: their own ``start``, and their rows (A,)."""
    counts = np.diff(start)[indices]
    own = np.concatenate([[0], np.cumsum(counts)])
    return own, np.repeat(start[indices] - own[:-1], counts) + np.arange(own[-1])


def joined_starts(starts: Sequence[np.ndarray]) -> np.ndarray:
    """The ``start`` of all crystals of several sets, one set after the other."""
    return np.concatenate([[0], np.cumsum(np.concatenate([np.diff(start) for start in starts]))])
