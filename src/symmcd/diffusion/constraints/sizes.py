"""``--atoms 4-8``, ``--orbits 3``: how many atoms the primitive cell has, and how many orbits they make."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from symmcd.diffusion.constraints.constraint import Constraint
from symmcd.diffusion.constraints.ranges import whole_range, words_of
from symmcd.diffusion.constraints.together import MOST_ATOMS
from symmcd.errors import InputError
from symmcd.extensions import ConstraintKind

if TYPE_CHECKING:
    from torch import Tensor

    from symmcd.diffusion.abilities import Abilities
    from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences

MOST_ORBITS = 1000  # that can be written; a model has its own bound


@dataclass(frozen=True)
class Atoms(Constraint):
    """A range of numbers of atoms."""

    at_most_one = True

    low: int
    high: int

    @classmethod
    def read(cls, value: int | str | Sequence[int]) -> Atoms:
        """Read from a number or a range, such as ``4-8``."""
        return cls(*whole_range(value, MOST_ATOMS))

    @property
    def atoms(self) -> Collection[int]:
        return range(self.low, self.high + 1)

    def check(self, abilities: Abilities, beside: Sequence[Constraint]) -> None:  # noqa: ARG002
        if abilities.most_atoms is not None and self.low > abilities.most_atoms:
            raise InputError(
                f"{self}: more than the {abilities.most_atoms} in the largest primitive cell that this model has "
                "learnt from; ask for less, or train on larger crystals"
            )

    def keep(self, drawn: WyckoffSequences) -> Tensor:
        atoms = drawn.primitive_atoms
        return ((atoms >= self.low) & (atoms <= self.high)).float().log()

    def __str__(self) -> str:
        return f"{words_of(self.low, self.high)} atoms in its primitive cell"


@dataclass(frozen=True)
class NumberOfOrbits(Constraint):
    """A range of numbers of orbits."""

    at_most_one = True

    low: int
    high: int

    @classmethod
    def read(cls, value: int | str | Sequence[int]) -> NumberOfOrbits:
        """Read from a number or a range, such as ``2-4``."""
        return cls(*whole_range(value, MOST_ORBITS))

    @property
    def orbits(self) -> Collection[int]:
        return range(self.low, self.high + 1)

    def check(self, abilities: Abilities, beside: Sequence[Constraint]) -> None:  # noqa: ARG002
        if self.low > abilities.most_orbits:
            raise InputError(f"{self}: this model's crystals have at most {abilities.most_orbits}; ask for less")

    def keep(self, drawn: WyckoffSequences) -> Tensor:
        return ((drawn.count >= self.low) & (drawn.count <= self.high)).float().log()

    def __str__(self) -> str:
        return f"{words_of(self.low, self.high)} {'orbit' if self.high == 1 else 'orbits'}"


ATOMS = ConstraintKind("number of atoms in the primitive cell, or a range, such as 6 or 4-8", Atoms.read, metavar="N")
ORBITS = ConstraintKind(
    "number of occupied Wyckoff positions, or a range, such as 3 or 2-4", NumberOfOrbits.read, metavar="N"
)
