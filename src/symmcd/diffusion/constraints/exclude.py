"""``--exclude Tc,Pm,U``: no crystal has one of these elements."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from symmcd.crystallography.composition import HEAVIEST, SYMBOLS
from symmcd.diffusion.constraints.constraint import Constraint
from symmcd.diffusion.constraints.elements import Elements, among, some_elements
from symmcd.errors import InputError
from symmcd.extensions import ConstraintKind

if TYPE_CHECKING:
    from torch import Tensor

    from symmcd.diffusion.abilities import Abilities
    from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences


@dataclass(frozen=True)
class Exclude(Constraint):
    """Elements not to take."""

    numbers: tuple[int, ...]  # atomic numbers, ascending

    @classmethod
    def read(cls, value: str | Iterable[int | str]) -> Exclude:
        """Read from symbols or atomic numbers."""
        return cls(some_elements(value))

    @property
    def elements(self) -> Collection[int]:
        return set(range(1, HEAVIEST + 1)) - set(self.numbers)

    def check(self, abilities: Abilities, beside: Sequence[Constraint]) -> None:
        left = set(abilities.elements) - set(self.numbers)
        for other in beside:
            if isinstance(other, Elements):
                left &= set(other.numbers)
        if not left:
            raise InputError(f"{self}: no element is left")

    def allowed_elements(self, drawn: WyckoffSequences, place: int) -> Tensor:  # noqa: ARG002
        return ~among(self.numbers, drawn)

    def __str__(self) -> str:
        return f"no {', no '.join(SYMBOLS[number - 1] for number in self.numbers)}"


EXCLUDE = ConstraintKind("use none of these elements, such as Tc,Pm,U", Exclude.read, metavar="A,B,…")
