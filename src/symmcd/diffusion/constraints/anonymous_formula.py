"""``--anonymous-formula ABX3``: the amounts of the elements, whichever they are."""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from symmcd.diffusion.constraints.constraint import Constraint
from symmcd.diffusion.constraints.together import MOST_ATOMS
from symmcd.errors import InputError
from symmcd.extensions import ConstraintKind

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from symmcd.diffusion.abilities import Abilities
    from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences

LETTERS = "ABCDEGLMQRTXYZ"  # that stand for any element; the others of one letter are elements


@functools.lru_cache(maxsize=1 << 18)
def completions(multiplicity: tuple[int, ...], held: tuple[int, ...], amounts: tuple[int, ...]) -> tuple[bool, ...]:
    """Return whether each element so far may have the next orbit too, and, last, whether a new one may.

    Args:
        multiplicity: of the orbits to come, the next one first.
        held: atoms of each element so far.
        amounts: that the elements have in the end, in any order.
    """
    following = multiplicity[1:]

    def may(after: tuple[int, ...]) -> bool:
        after = tuple(sorted(after))
        if not _fit(after, amounts):
            return False
        return any(completions(following, after, amounts)) if following else after == amounts

    first = multiplicity[0]
    known = [may((*held[:i], held[i] + first, *held[i + 1 :])) for i in range(len(held))]
    return (*known, len(held) < len(amounts) and may((*held, first)))


def _fit(held: tuple[int, ...], amounts: tuple[int, ...]) -> bool:
    """Return whether each of `held` can be at most an amount of its own; both ascend."""
    return len(held) <= len(amounts) and all(h <= a for h, a in zip(held[::-1], amounts[::-1], strict=False))


@dataclass(frozen=True)
class AnonymousFormula(Constraint):
    """Amounts of different elements."""

    amounts: tuple[int, ...]  # amounts of a formula unit, ascending

    @classmethod
    def read(cls, value: str) -> AnonymousFormula:
        """Read from letters with numbers, each letter an element of its own."""
        text = value.translate(str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")) if isinstance(value, str) else ""
        parts = re.findall(r"([A-Z])(\d{0,4})", text)
        if not parts or "".join(letter + digits for letter, digits in parts) != text.strip():
            raise InputError(f"{value!r:.40}: expected letters with numbers, such as ABX3 or A2B3")
        if elements := sorted({letter for letter, _ in parts} - set(LETTERS)):
            raise InputError(
                f"{value!r:.40}: {elements[0]} is an element; letters that stand "
                f"for any element are {LETTERS}, as in ABX3 "
                "(elements are chosen by --elements and --formula)"
            )
        amounts: Counter[str] = Counter()
        for letter, digits in parts:
            amounts[letter] += int(digits or 1)
        if min(amounts.values()) < 1:
            raise InputError(f"{value!r:.40}: an amount of 0; leave the letter out")
        common = math.gcd(*amounts.values())
        return cls(tuple(sorted(amount // common for amount in amounts.values())))

    @property
    def size(self) -> int:
        """Atoms of a formula unit."""
        return sum(self.amounts)

    @property
    def atoms(self) -> Collection[int]:
        return range(self.size, max(MOST_ATOMS, self.size) + 1, self.size)

    @property
    def orbits(self) -> Collection[int]:
        return range(len(self.amounts), 1001)

    def check(self, abilities: Abilities, beside: Sequence[Constraint]) -> None:
        if abilities.most_atoms is not None and self.size > abilities.most_atoms:
            raise InputError(
                f"{self} has {self.size} atoms: more than the {abilities.most_atoms} in the largest primitive cell "
                "that this model has learnt from; ask for less, or train on larger crystals"
            )
        required = {number for other in beside for number in other.required}
        if len(required) > len(self.amounts):
            raise InputError(f"{self} has {len(self.amounts)} elements, but {len(required)} are required")

    def allowed_elements(self, drawn: WyckoffSequences, place: int) -> Tensor:
        """Elements with which the amounts can still be reached."""
        import torch

        from symmcd.diffusion.staged.symmetry_tables import symmetry_tables

        multiplicity = symmetry_tables(drawn.count.device).multiplicity[drawn.wyckoff]
        rows = zip(drawn.count.tolist(), multiplicity.tolist(), drawn.element[:, :place].tolist(), strict=True)
        mask = torch.ones(len(drawn), 118, dtype=torch.bool)
        for row, (count, atoms, elements) in enumerate(rows):
            if place >= count:
                continue
            held: Counter[int] = Counter()
            for element, number in zip(elements, atoms, strict=False):
                held[element] += number
            total = sum(atoms[:count])
            names = sorted(held, key=lambda element: held[element])
            sums = tuple(held[element] for element in names)
            units, rest = divmod(total, self.size)
            # what is asked of one multiple of the cell is asked of all: a common divisor changes nothing
            amounts = tuple(units * amount for amount in self.amounts)
            *again, new = (
                completions(tuple(atoms[place:count]), sums, amounts) if not rest else (False,) * (len(names) + 1)
            )
            mask[row] = new
            self._set(mask[row], names, again)
        return mask.to(drawn.count.device)

    @staticmethod
    def _set(mask: torch.Tensor, names: list[int], allowed: list[bool]) -> None:
        for name, may in zip(names, allowed, strict=True):
            mask[name - 1] = may

    def __str__(self) -> str:
        letters = "ABCDEFGHIJ"
        written = "".join(f"{letters[i % 10]}{n if n > 1 else ''}" for i, n in enumerate(self.amounts))
        return f"the anonymous formula {written}"


ANONYMOUS_FORMULA = ConstraintKind(
    "amounts of any elements, such as ABX3 (each letter is a different element)",
    AnonymousFormula.read,
    metavar="ABX3",
)
