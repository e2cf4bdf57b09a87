"""Raw output of the model on disk: crystals laid flat, one npz a shard.  Numpy only."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from symmcd.crystallography.consistency import check_contents, impossible_cells
from symmcd.crystallography.site_symmetry import SYMBOLS
from symmcd.crystallography.space_group import AXES
from symmcd.errors import InputError
from symmcd.npz import Expected, fitted
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


_FIELDS = {
    "number": Expected("integers", ("B",)),
    "space_group": Expected("integers", ("B",)),
    "lattice": Expected("numbers", ("B", 6)),
    "start": Expected("integers", ("B+1",)),
    "element": Expected("integers", ("A",)),
    "position": Expected("numbers", ("A", 3)),
    "site_symmetry": Expected("integers", ("A", len(AXES))),
}


def read_samples(path: Path) -> Samples:
    """Read what `write_samples` wrote.

    Raises:
        InputError: missing, unreadable, not a file of samples, or with numbers that no model draws.
    """
    samples = Samples(**fitted(path, read_arrays(path), _FIELDS, "samples"))
    try:
        check_contents(samples.space_group, samples.start, samples.element, lambda i: f"crystal {samples.number[i]}: ")
        if (samples.number < 0).any():
            raise InputError(f"a crystal is number {samples.number.min()}")
        if (wrong := impossible_cells(samples.lattice)).any():
            i = int(wrong.argmax())
            raise InputError(f"crystal {samples.number[i]}: no cell has the k {samples.lattice[i].tolist()}")
        if ((samples.site_symmetry < 0) | (samples.site_symmetry >= len(SYMBOLS))).any():
            raise InputError(f"site_symmetry has numbers that are not from 0 to {len(SYMBOLS) - 1}")
    except InputError as error:
        raise InputError(f"{path}: {error}; delete it and sample again") from None
    return dataclasses.replace(samples, site_symmetry=samples.site_symmetry.astype(np.uint8))  # as it was written
