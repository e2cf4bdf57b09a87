"""Crystals laid flat as tensors, without padding: orbits one after the other, each with its crystal's index."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.diffusion.staged.row_sums import RowSums
from symmcd.diffusion.staged.symmetry_tables import symmetry_tables
from symmcd.errors import InputError


def members_of(start: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """The numbers start[row] … start[row + 1] - 1 of each of `rows` (R,), one after the other.

    Returns:
        Index into `rows` of each number, and the numbers.
    """
    count = start[rows + 1] - start[rows]
    owner = torch.repeat_interleave(torch.arange(len(rows), device=rows.device), count)
    first = torch.cumsum(count, 0) - count
    return owner, (start[rows] - first)[owner] + torch.arange(len(owner), device=rows.device)


@dataclass(frozen=True, eq=False)
class FlatCrystals:
    """B asymmetric units with A orbits in all; orbits of crystal i are ``start[i]:start[i + 1]``."""

    space_group: Tensor  # (B,) 1..230
    k: Tensor  # (B, 6)
    start: Tensor  # (B + 1,)
    element: Tensor  # (A,) atomic number
    wyckoff: Tensor  # (A,) row of the Wyckoff table
    u: Tensor  # (A, 3) free coordinates of the representative, [0, 1), 0 where the position fixes them

    def __len__(self) -> int:
        return len(self.space_group)

    @property
    def count(self) -> Tensor:
        """(B,) orbits of each crystal."""
        return self.start.diff()

    @functools.cached_property  # counting repeats makes CUDA wait
    def crystal(self) -> Tensor:
        """(A,) index of the crystal of each orbit."""
        return torch.repeat_interleave(torch.arange(len(self), device=self.start.device), self.count)

    @functools.cached_property
    def sums(self) -> RowSums:
        """Sums of values of orbits over each crystal."""
        return RowSums.of(self.crystal, len(self))

    @functools.cached_property
    def longest(self) -> int:
        """Orbits of the crystal with most."""
        return int(self.count.max())

    @functools.cached_property
    def place(self) -> Tensor:
        """(A,) number of each orbit in its crystal, from 0."""
        return torch.arange(len(self.crystal), device=self.start.device) - self.start[self.crystal]

    def unpadded(self, values: Tensor) -> Tensor:
        """(A, …) what belongs to the orbits of `values` (B, longest, …)."""
        return values[self.crystal, self.place]

    @functools.cached_property
    def atoms(self) -> Tensor:
        """(B,) atoms of the conventional cell, float."""
        multiplicity = symmetry_tables(self.start.device).multiplicity[self.wyckoff].to(self.k.dtype)
        return self.sums.of_rows(multiplicity)

    def to(self, device: torch.device | str) -> FlatCrystals:
        """The same on `device`."""
        return FlatCrystals(*(getattr(self, field.name).to(device) for field in dataclasses.fields(self)))

    def take(self, rows: Tensor) -> FlatCrystals:
        """The crystals `rows`, in that order."""
        _, orbits = members_of(self.start, rows)
        count = self.count[rows]
        return FlatCrystals(
            self.space_group[rows], self.k[rows], torch.cat([count.new_zeros(1), count.cumsum(0)]),
            self.element[orbits], self.wyckoff[orbits], self.u[orbits],
        )  # fmt: skip

    @classmethod
    def from_units(cls, units: AsymmetricUnits) -> FlatCrystals:
        """Tensors of flat units, on the CPU.

        Raises:
            InputError: no crystals.
        """
        if not len(units):
            raise InputError("a batch needs at least one crystal")
        wyckoff = torch.as_tensor(units.wyckoff, dtype=torch.int64)
        position = torch.as_tensor(units.position, dtype=torch.float32)
        return cls(
            space_group=torch.as_tensor(units.space_group, dtype=torch.int64),
            k=torch.as_tensor(units.k, dtype=torch.float32),
            start=torch.as_tensor(units.start, dtype=torch.int64),
            element=torch.as_tensor(units.element, dtype=torch.int64),
            wyckoff=wyckoff,
            u=symmetry_tables().free_coordinates(position, wyckoff),
        )
