"""``--elements Li,Fe,O``: crystals have no other elements."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from symmcd.crystallography.composition import SYMBOLS, atomic_numbers_of
from symmcd.diffusion.constraints.constraint import Constraint
from symmcd.errors import InputError
from symmcd.extensions import ConstraintKind

if TYPE_CHECKING:
    from torch import Tensor

    from symmcd.diffusion.abilities import Abilities
    from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences


@dataclass(frozen=True)
class Elements(Constraint):
    """The elements to choose from."""

    numbers: tuple[int, ...]  # atomic numbers, ascending

    @classmethod
    def read(cls, value: str | Iterable[int | str]) -> Elements:
        """Read from symbols or atomic numbers."""
        return cls(some_elements(value))

    @property
    def elements(self) -> Collection[int]:
        return self.numbers

    def check(self, abilities: Abilities, beside: Sequence[Constraint]) -> None:  # noqa: ARG002
        abilities.check_elements(self.numbers)

    def allowed_elements(self, drawn: WyckoffSequences, place: int) -> Tensor:  # noqa: ARG002
        return among(self.numbers, drawn)

    def __str__(self) -> str:
        return f"no other elements than {in_symbols(self.numbers)}"


def some_elements(value: str | Iterable[int | str]) -> tuple[int, ...]:
    """Atomic numbers, ascending, each once, of symbols or atomic numbers.

    Raises:
        InputError: none, or no such element.
    """
    numbers = tuple(sorted(set(atomic_numbers_of(value))))
    if not numbers:
        raise InputError("no element given; write symbols, such as Li,Fe,O")
    return numbers


def in_symbols(numbers: Iterable[int]) -> str:
    """``Li, Fe, O`` of atomic numbers."""
    return ", ".join(SYMBOLS[number - 1] for number in numbers)


def among(numbers: Sequence[int], drawn: WyckoffSequences) -> Tensor:
    """(118,) bool: True at the atomic numbers `numbers`, on the device of `drawn`."""
    mask = drawn.element.new_zeros(len(SYMBOLS)).bool()
    return mask.index_fill(0, drawn.element.new_tensor(numbers) - 1, value=True)


ELEMENTS = ConstraintKind(
    "use only these elements, by symbol or number, such as Li,Fe,O", Elements.read, metavar="A,B,…"
)
