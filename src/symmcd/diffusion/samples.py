"""Raw output of the model on disk: crystals laid flat, one npz a shard.  Numpy only."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from symmcd.errors import InputError
from symmcd.storage import read_arrays, write_arrays


@dataclass(frozen=True, eq=False)
class Samples:
    """B sampled crystals before projection; crystal i has orbits ``start[i]:start[i+1]``."""

    number: np.ndarray  # (B,) global number, the same whatever shards there are
    space_group: np.ndarray  # (B,) 1..230
    lattice: np.ndarray  # (B, 6) k
    start: np.ndarray  # (B + 1,)
    element: np.ndarray  # (A,) atomic number
    position: np.ndarray  # (A, 3) fractional, [0, 1), not yet on a Wyckoff position
    site_symmetry: np.ndarray  # (A, 15) class index into site_symmetry.SYMBOLS, not yet a legal code

    def __len__(self) -> int:
        return len(self.number)

    def take(self, indices: Sequence[int] | np.ndarray) -> Samples:
        """The crystals at `indices`, in that order."""
        indices = np.asarray(indices, dtype=int)
        count = np.diff(self.start)[indices]
        start = np.concatenate([[0], np.cumsum(count)])
        rows = np.repeat(self.start[indices] - start[:-1], count) + np.arange(start[-1])
        return Samples(
            self.number[indices], self.space_group[indices], self.lattice[indices], start,
            self.element[rows], self.position[rows], self.site_symmetry[rows],
        )  # fmt: skip

    @classmethod
    def concatenate(cls, parts: Sequence[Samples]) -> Samples:
        """All crystals of `parts`, ordered by their numbers."""
        count = np.concatenate([np.diff(p.start) for p in parts])
        joined = {
            name: np.concatenate([getattr(p, name) for p in parts])
            for name in ("number", "space_group", "lattice", "element", "position", "site_symmetry")
        }
        return cls(start=np.concatenate([[0], np.cumsum(count)]), **joined).take(np.argsort(joined["number"]))


def write_samples(path: Path, samples: Samples) -> None:
    """Write samples as one npz."""
    write_arrays(path, {field.name: getattr(samples, field.name) for field in dataclasses.fields(samples)})


def read_samples(path: Path) -> Samples:
    """Read what `write_samples` wrote.

    Raises:
        InputError: missing, unreadable, or not a file of samples.
    """
    arrays = read_arrays(path)
    names = [field.name for field in dataclasses.fields(Samples)]
    missing = [name for name in names if name not in arrays]
    if missing:
        raise InputError(f"{path}: lacks {', '.join(missing)}; it is not a file of samples")
    return Samples(**{name: arrays[name] for name in names})
