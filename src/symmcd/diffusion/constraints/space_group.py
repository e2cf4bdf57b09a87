"""``--space-group Pnma``, ``--space-group 62,14``: all crystals have one of these groups."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from symmcd.diffusion.constraints.constraint import Constraint
from symmcd.errors import InputError
from symmcd.extensions import ConstraintKind


@dataclass(frozen=True)
class SpaceGroup(Constraint):
    """Space groups to choose from, whether or not the training set has them."""

    numbers: tuple[int, ...]  # 1..230, ascending
    words: str = ""  # what they have in common; empty: they are named

    @classmethod
    def read(cls, value: int | str | Iterable[int | str]) -> SpaceGroup:
        """Read from a number or a symbol, or several."""
        from symmcd.crystallography.space_group import number_of  # loads numpy, which the help does without

        several: Iterable[int | str]
        if isinstance(value, str):
            several = [part for part in re.split(r"[,;]", value) if part.strip()]
            if not several:
                raise InputError("no space group given; write numbers or symbols, such as Pnma or 62,14")
        else:
            several = value if isinstance(value, Iterable) else [value]
        return cls(tuple(sorted({number_of(part) for part in several})))

    @property
    def space_groups(self) -> Sequence[int]:
        return self.numbers

    def __str__(self) -> str:
        return self.words or f"space group {' or '.join(map(str, self.numbers))}"


SPACE_GROUP = ConstraintKind(
    "1 to 230, a symbol such as Pnma, or several as Pnma,14 (default: as in the training set)",
    SpaceGroup.read,
    metavar="G",
)
