"""``--space-group Pnma``: all crystals have this group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from symmcd.diffusion.constraints.constraint import Constraint
from symmcd.extensions import ConstraintKind


@dataclass(frozen=True)
class SpaceGroup(Constraint):
    """One space group for all crystals, whether or not the training set has it."""

    number: int  # 1..230

    @classmethod
    def read(cls, value: int | str) -> SpaceGroup:
        """From its number or its symbol."""
        from symmcd.crystallography.space_group import number_of  # loads numpy, which the help does without

        return cls(number_of(value))

    @property
    def space_groups(self) -> Sequence[int]:
        return (self.number,)

    def __str__(self) -> str:
        return f"space group {self.number}"


SPACE_GROUP = ConstraintKind(
    "1 to 230, or a symbol as Pnma (default: as in the training set)", SpaceGroup.read, metavar="G"
)
