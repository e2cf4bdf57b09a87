"""Asymmetric units of many crystals as dense, masked tensors: the only tensor container the denoiser sees."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.errors import InputError

Rows = TypeVar("Rows", bound="CrystalRows")


@dataclass(frozen=True, eq=False)
class CrystalRows:
    """Tensors whose first dimension is the crystal; those named in `PER_ORBIT` have the orbit as their second."""

    PER_ORBIT: ClassVar[tuple[str, ...]] = ()

    def to(self: Rows, device: torch.device | str) -> Rows:
        """The same tensors on `device`."""
        return dataclasses.replace(self, **{name: value.to(device) for name, value in self._tensors().items()})

    def select(self: Rows, crystals: Tensor, orbits: int | None = None) -> Rows:
        """The rows `crystals` (a tensor of indices), cut to the first `orbits` orbits where that is given."""
        return dataclasses.replace(
            self,
            **{
                name: (value[:, :orbits] if name in self.PER_ORBIT else value)[crystals]
                for name, value in self._tensors().items()
            },
        )

    def _tensors(self) -> dict[str, Tensor]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


@dataclass(frozen=True, eq=False)
class Orbits(CrystalRows):
    """Common part of a clean and a noisy batch: B crystals, a column per orbit, padded to N orbits; real ones first."""

    PER_ORBIT = ("position", "element", "site_symmetry", "mask")

    space_group: Tensor  # (B,)       1..230, standard ITA setting
    position: Tensor  # (B, N, 3)     fractional, [0, 1), representative of its orbit
    element: Tensor  # (B, N)         atomic number, 0 where padded
    site_symmetry: Tensor  # (B, N, 15) class index into site_symmetry.SYMBOLS, 0 where padded
    mask: Tensor  # (B, N)            True where the orbit is real

    def __len__(self) -> int:
        return len(self.space_group)

    @property
    def count(self) -> Tensor:
        """(B,) orbits of each crystal."""
        return self.mask.sum(dim=1)


@dataclass(frozen=True, eq=False)
class NoisyBatch(Orbits):
    """Crystals while they diffuse: their lattices are standardised."""

    z: Tensor  # (B, 6)  standardised k (see ForwardProcess)


@dataclass(frozen=True, eq=False)
class OrbitBatch(Orbits):
    """Asymmetric units of B crystals."""

    k: Tensor  # (B, 6)  coefficients of the log of the lattice

    @classmethod
    def from_units(cls, units: AsymmetricUnits, pad_to: int | None = None) -> OrbitBatch:
        """Dense tensors of flat units, padded to `pad_to` orbits (default: the most that a crystal has).

        Raises:
            InputError: no crystals, or one with more than `pad_to` orbits.
        """
        if not len(units):
            raise InputError("a batch needs at least one crystal")
        count = np.diff(units.start)
        longest = int(count.max())
        width = longest if pad_to is None else pad_to
        if longest > width:
            raise InputError(f"crystal {units.label[count.argmax()]} has {longest} orbits, more than {pad_to=}")
        mask = np.arange(width) < count[:, None]

        def padded(flat: np.ndarray, dtype: torch.dtype) -> Tensor:
            dense = np.zeros((*mask.shape, *flat.shape[1:]), flat.dtype)
            dense[mask] = flat  # row-major order of the mask is the flat order
            return torch.as_tensor(dense, dtype=dtype)

        return cls(
            space_group=torch.as_tensor(units.space_group, dtype=torch.int64),
            k=torch.as_tensor(units.k, dtype=torch.float32),
            position=padded(units.position, torch.float32),
            element=padded(units.element, torch.int64),
            site_symmetry=padded(wyckoff_table().site_symmetry[units.wyckoff], torch.int64),
            mask=torch.as_tensor(mask),
        )


def laid_flat(parts: Sequence[Rows]) -> Rows:
    """Several batches as one, each padded in its own way: tensors per crystal (ΣB, …), those per orbit (ΣBN, …)."""

    def joined(name: str) -> Tensor:
        values = [getattr(part, name) for part in parts]
        return torch.cat([value.flatten(0, 1) for value in values] if name in parts[0].PER_ORBIT else values)

    return dataclasses.replace(parts[0], **{field.name: joined(field.name) for field in dataclasses.fields(parts[0])})


def split_by_count(count: Tensor, overhead: int) -> list[tuple[Tensor, int]]:
    """Cut a batch into groups of crystals with similar orbit counts, so that all-pairs work wastes little on padding.

    The cut is the cheapest one, where a group of n crystals padded to N orbits costs n N² + `overhead` pairs.  The
    gradient of a batch is the sum of those of its groups: unlike batches made of crystals of one size, this changes
    nothing but the time.

    Args:
        count: (B,) orbits of each crystal.
        overhead: what starting one more group costs, in pairs.

    Returns:
        For each group, the indices of its crystals and the number of orbits to pad to.
    """
    sizes, numbers = (a.tolist() for a in torch.unique(count, return_counts=True))  # ascending
    best: list[tuple[int, int]] = [(0, 0)]  # cost of the cheapest cut of the first i sizes, start of its last group
    for i, size in enumerate(sizes):
        options = [(best[j][0] + sum(numbers[j : i + 1]) * size**2 + overhead, j) for j in range(i + 1)]
        best.append(min(options))
    groups, end = [], len(sizes)
    while end:
        start = best[end][1]
        inside = (count >= sizes[start]) & (count <= sizes[end - 1])
        groups.append((inside.nonzero()[:, 0], sizes[end - 1]))
        end = start
    return groups[::-1]


def within_memory(groups: Sequence[tuple[Tensor, int]], pairs: int) -> Iterator[list[tuple[Tensor, int]]]:
    """Groups as `split_by_count` makes them, in lots of at most `pairs` pairs of orbits (but one crystal at least)."""
    lot: list[tuple[Tensor, int]] = []
    used = 0
    for rows, width in groups:
        for part in rows.split(max(1, pairs // width**2)):
            size = len(part) * width**2
            if lot and used + size > pairs:
                yield lot
                lot, used = [], 0
            lot.append((part, width))
            used += size
    if lot:
        yield lot
