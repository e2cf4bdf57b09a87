"""Wyckoff positions and elements of crystals as sequences in one canonical order, and which next ones are legal.

A crystal's orbits are sorted by Wyckoff position, then by atomic number, so that every crystal is one sequence: all
positions W_1 ≤ … ≤ W_n first, then all elements E_1 … E_n, ascending where positions repeat.  A position without a
free coordinate holds one orbit at most.  Each group's general position can always be taken again, so that a legal
beginning never leads to a dead end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from symmcd.batch import CrystalRows
from symmcd.crystallography.drafts import Drafts
from symmcd.crystallography.flat_orbits import FlatOrbits
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.diffusion.data_statistics import ELEMENTS
from symmcd.diffusion.staged.symmetry_tables import symmetry_tables
from symmcd.errors import InputError


@dataclass(frozen=True, eq=False)
class WyckoffSequences(CrystalRows):
    """B crystals padded to N orbits."""

    PER_ORBIT = ("wyckoff", "element")

    space_group: Tensor  # (B,) 1..230
    count: Tensor  # (B,) orbits
    wyckoff: Tensor  # (B, N) row of the Wyckoff table, 0 where padded
    element: Tensor  # (B, N) atomic number, 0 where padded

    def __len__(self) -> int:
        return len(self.space_group)

    @property
    def mask(self) -> Tensor:
        """(B, N) True where there is an orbit."""
        return torch.arange(self.wyckoff.shape[1], device=self.count.device) < self.count[:, None]

    @property
    def letter(self) -> Tensor:
        """(B, N) positions counted within their group, a = 0; means nothing where padded."""
        first = symmetry_tables(self.count.device).group_start[self.space_group - 1]
        return self.wyckoff - first[:, None]

    @classmethod
    def from_units(cls, units: FlatOrbits) -> WyckoffSequences:
        """Sequences of flat units, on the CPU.

        Raises:
            InputError: no crystals, or one with two orbits on a position that has room for one.
        """
        if not len(units):
            raise InputError("a batch needs at least one crystal")
        order = np.lexsort((units.element, units.wyckoff, units.crystal))
        crystal, wyckoff = units.crystal[order], units.wyckoff[order]
        twice = (np.diff(crystal) == 0) & (np.diff(wyckoff) == 0)
        full = np.flatnonzero(twice & (wyckoff_table().degrees_of_freedom[wyckoff[1:]] == 0))
        if len(full):
            raise InputError(
                f"crystal {units.name(crystal[full[0]])}: two orbits on position "
                f"{wyckoff_table().letter[wyckoff[full[0]]]}, which is a single point; leave the crystal out"
            )
        count = np.diff(units.start)
        mask = np.arange(count.max()) < count[:, None]

        def padded(flat: np.ndarray) -> Tensor:
            dense = np.zeros(mask.shape, dtype=np.int64)
            dense[mask] = flat[order]
            return torch.as_tensor(dense)

        return cls(
            torch.as_tensor(units.space_group, dtype=torch.int64),
            torch.as_tensor(count, dtype=torch.int64),
            padded(units.wyckoff),
            padded(units.element),
        )

    def drafts(self, number: Tensor, log_probability: Tensor, seed: int, asked: Sequence[Any] = ()) -> Drafts:
        """These crystals as flat arrays.

        Args:
            number: (B,) that names the random numbers of each.
            log_probability: (B,) natural logarithm.
            seed: of the random numbers.
            asked: constraints that the geometries have to fulfil.
        """
        count, mask = self.count.cpu().numpy(), self.mask
        return Drafts(
            space_group=self.space_group.cpu().numpy(),
            start=np.concatenate([[0], np.cumsum(count)]),
            element=self.element[mask].cpu().numpy(),
            wyckoff=self.wyckoff[mask].cpu().numpy(),
            number=number.cpu().numpy(),
            log_probability=log_probability.cpu().numpy().astype(float),
            seed=seed,
            asked=tuple(asked),
        )

    @property
    def primitive_atoms(self) -> Tensor:
        """(B,) atoms of the primitive cells."""
        tables = symmetry_tables(self.count.device)
        atoms = (tables.multiplicity[self.wyckoff] * self.mask).sum(dim=1)
        return atoms // tables.lattice_points[self.space_group - 1]

    @classmethod
    def concatenate(cls, parts: Sequence[WyckoffSequences]) -> WyckoffSequences:
        """All crystals of `parts`, padded to the longest."""
        longest = max(part.wyckoff.shape[1] for part in parts)

        def joined(name: str) -> Tensor:
            return torch.cat([pad(getattr(part, name), (0, longest - part.wyckoff.shape[1])) for part in parts])

        whole = {name: torch.cat([getattr(part, name) for part in parts]) for name in ("space_group", "count")}
        return cls(**whole, **{name: joined(name) for name in cls.PER_ORBIT})


def reduced_multiplicity(sequences: WyckoffSequences) -> Tensor:
    """(B, N) multiplicity of each orbit over the greatest common divisor of those of its crystal, 0 where padded."""
    multiplicity = symmetry_tables(sequences.count.device).multiplicity[sequences.wyckoff] * sequences.mask
    divisor = multiplicity[:, 0]
    for column in multiplicity.T[1:]:
        divisor = torch.gcd(divisor, column)
    return multiplicity // divisor.clamp_min(1)[:, None]


def rows_of_group(space_group: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of the Wyckoff table of each group, (B, R), and which of them exist, as the groups have 1 to 27."""
    tables = symmetry_tables(space_group.device)
    start = tables.group_start
    rows = start[space_group - 1][:, None] + torch.arange(tables.widest, device=start.device)
    exist = rows < start[space_group][:, None]
    return torch.where(exist, rows, start[space_group][:, None] - 1), exist


def legal_positions(rows: Tensor, exist: Tensor, previous: Tensor) -> Tensor:
    """(B, N, R) which rows (see `rows_of_group`) may follow the position `previous` (B, N), -1 for the first."""
    repeatable = symmetry_tables(rows.device).degrees_of_freedom[rows] > 0
    before, rows = previous[:, :, None], rows[:, None]
    return exist[:, None] & ((rows > before) | ((rows == before) & repeatable[:, None]))


def legal_elements(wyckoff: Tensor, element: Tensor, seen: Tensor) -> Tensor:
    """(B, N, 118) which elements may stand at each place: those `seen` (118,), ascending where positions repeat.

    Args:
        wyckoff: (B, N).
        element: (B, N) atomic numbers; those before a place count.
        seen: (118,) bool.
    """
    repeats = pad(wyckoff[:, 1:] == wyckoff[:, :-1], (1, 0))  # (B, N): same position as the one before
    lowest = torch.where(repeats, shifted(element, 0), 0)
    numbers = torch.arange(1, ELEMENTS + 1, device=element.device)
    return seen & (numbers >= lowest[:, :, None])


def shifted(values: Tensor, first: int) -> Tensor:
    """(B, N) values one place later, `first` at the front."""
    return pad(values[:, :-1], (1, 0), value=first)
