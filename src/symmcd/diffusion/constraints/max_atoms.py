"""``--max-atoms 8``: no larger primitive cells."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING

from symmcd.diffusion.constraints.constraint import Constraint
from symmcd.diffusion.constraints.together import MOST_ATOMS
from symmcd.errors import InputError
from symmcd.extensions import ConstraintKind

if TYPE_CHECKING:
    from torch import Tensor

    from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences


@dataclass(frozen=True)
class MaxAtoms(Constraint):
    """The most atoms in a primitive cell."""

    at_most_one = True

    number: int

    @classmethod
    def read(cls, value: int | str) -> MaxAtoms:
        """Read from a whole number, at least 1."""
        number = int(value) if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value) else value
        if not isinstance(number, Integral) or isinstance(number, bool) or number < 1:
            raise InputError(f"{value!r:.40}: expected a whole number, at least 1")
        return cls(int(number))

    @property
    def atoms(self) -> Collection[int] | None:
        return range(1, self.number + 1) if self.number <= MOST_ATOMS else None  # larger ones are looked through

    def keep(self, drawn: WyckoffSequences) -> Tensor:
        return (drawn.primitive_atoms <= self.number).float().log()

    def __str__(self) -> str:
        return f"at most {self.number} atoms in its primitive cell"


MAX_ATOMS = ConstraintKind("largest number of atoms in the primitive cell (default: no limit)", MaxAtoms.read, "N")
