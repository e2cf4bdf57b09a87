"""Numbers of atoms that the remaining orbits can add up to: exact masks, so that no draw ends without a legal choice.

A crystal's positions ascend in the Wyckoff table, and one without a free coordinate comes once.  So the sums that n
more orbits from row r on can have follow from those of fewer orbits and later rows; sets of sums are bits of a number.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from symmcd.crystallography.space_group import lattice_points
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.diffusion.constraints.constraint import Constraint

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences


@functools.cache
def sums_of(group: int, most_orbits: int, most_atoms: int) -> tuple[tuple[int, ...], ...]:
    """Masks for each Wyckoff position of a group, and for none: bit s of [row][n]: n orbits from it on have s atoms.

    Args:
        group: 1 to 230.
        most_orbits: largest n.
        most_atoms: largest s, of the primitive cell.
    """
    table = wyckoff_table()
    own = slice(table.start[group - 1], table.start[group])
    atoms = (table.multiplicity[own] // lattice_points(group)).tolist()
    again = (table.degrees_of_freedom[own] > 0).tolist()
    within = (1 << (most_atoms + 1)) - 1
    after = [(1, *[0] * most_orbits)]
    for number, repeats in zip(atoms[::-1], again[::-1], strict=True):
        later = after[-1]
        here = [1]
        for n in range(1, most_orbits + 1):
            before = here[n - 1] if repeats else later[n - 1]
            here.append(later[n] | (before << number & within))
        after.append(tuple(here))
    return tuple(after[::-1])


@functools.lru_cache(maxsize=8)
def _table(groups: tuple[int, ...], wanted: frozenset[int], most_orbits: int) -> np.ndarray:
    """(P, N + 1, S + 1) bool: with this row taken, n orbits to come and s atoms so far, a wanted number is in reach."""
    table, most = wyckoff_table(), max(wanted)
    # row s: which sums of the rest lead from s to a wanted number
    target = np.array([[s + more in wanted for s in range(most + 1)] for more in range(most + 1)], dtype=np.float32)
    reach = np.zeros((len(table.multiplicity), most_orbits + 1, most + 1), dtype=bool)
    for group in groups or range(1, 231):
        first, last = table.start[group - 1], table.start[group]
        sums, size = sums_of(group, most_orbits, most), (most + 8) // 8
        following = [sums[row if table.degrees_of_freedom[first + row] > 0 else row + 1] for row in range(last - first)]
        raw = b"".join(bits.to_bytes(size, "little") for of_row in following for bits in of_row)
        bits = np.unpackbits(np.frombuffer(raw, np.uint8).reshape(-1, size), axis=1, bitorder="little")[:, : most + 1]
        reach[first:last] = (bits.astype(np.float32) @ target > 0).reshape(last - first, most_orbits + 1, most + 1)
    return reach


@dataclass(frozen=True)
class WithinReach(Constraint):
    """Positions that can still lead to a wanted number of atoms in the primitive cell; no wish of its own."""

    groups: tuple[int, ...]  # that crystals may have; none: any
    wanted: frozenset[int]
    most_orbits: int

    def allowed_positions(self, drawn: WyckoffSequences, place: int, rows: Tensor) -> Tensor:
        from symmcd.diffusion.staged.symmetry_tables import symmetry_tables

        tables, device = symmetry_tables(rows.device), rows.device
        most = max(self.wanted)
        points = tables.lattice_points[drawn.space_group - 1]
        before = tables.multiplicity[drawn.wyckoff[:, :place]].sum(dim=1) // points
        atoms = before[:, None] + tables.multiplicity[rows] // points[:, None]
        left = (drawn.count - place - 1).clamp_min(0)[:, None].expand_as(rows)
        reach = _on_device(self, device)
        return reach[rows, left, atoms.clamp_max(most)] & (atoms <= most)

    def table(self) -> np.ndarray:
        """See `_table`."""
        return _table(self.groups, self.wanted, self.most_orbits)

    def __str__(self) -> str:
        return f"{_words(sorted(self.wanted))} atoms in its primitive cell"


@functools.lru_cache(maxsize=8)
def _on_device(constraint: WithinReach, device: torch.device) -> Tensor:
    import torch

    with torch.inference_mode(mode=False):
        return torch.as_tensor(constraint.table(), device=device)


def _words(numbers: Sequence[int]) -> str:
    return " or ".join(map(str, numbers[:5])) + (" or …" if len(numbers) > 5 else "")
