"""``--formula LiFePO4``: every crystal has this composition, with any number of formula units in its cell."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from symmcd.crystallography.composition import formula_unit_of, reduced_formula
from symmcd.diffusion.constraints.constraint import Constraint
from symmcd.diffusion.constraints.together import MOST_ATOMS
from symmcd.extensions import ConstraintKind

if TYPE_CHECKING:
    from torch import Tensor

    from symmcd.diffusion.abilities import Abilities
    from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences


@dataclass(frozen=True)
class Formula(Constraint):
    """A composition.  Crystals of it are not proposed but listed, see `drafting`."""

    at_most_one = True

    unit: tuple[tuple[int, int], ...]  # atomic number and atoms of a formula unit, by atomic number

    @classmethod
    def read(cls, value: str | Mapping[int, int] | Mapping[str, int]) -> Formula:
        """Read from a text, or from atoms by element."""
        from math import gcd

        unit = formula_unit_of(value)
        common = gcd(*unit.values())
        return cls(tuple(sorted((number, count // common) for number, count in unit.items())))

    @property
    def formula_unit(self) -> Mapping[int, int]:
        return dict(self.unit)

    @property
    def atoms(self) -> Collection[int]:
        size = sum(count for _, count in self.unit)
        return range(size, max(MOST_ATOMS, size) + 1, size)

    @property
    def elements(self) -> Collection[int]:
        return [number for number, _ in self.unit]

    @property
    def required(self) -> Collection[int]:
        return self.elements

    def check(self, abilities: Abilities, beside: Sequence[Constraint]) -> None:  # noqa: ARG002
        abilities.check_composition(dict(self.unit))

    def keep(self, drawn: WyckoffSequences) -> Tensor:
        """Return whether the amounts of its elements are a multiple of a formula unit."""
        from symmcd.diffusion.staged.wyckoff_sequence import reduced_multiplicity

        amount = reduced_multiplicity(drawn)
        numbers = drawn.element.new_tensor([number for number, _ in self.unit])
        counts = drawn.element.new_tensor([count for _, count in self.unit])
        of_element = ((drawn.element[:, :, None] == numbers) * amount[:, :, None]).sum(dim=1)  # (B, elements)
        right = (of_element * counts[0] == of_element[:, :1] * counts).all(dim=1) & (of_element > 0).all(dim=1)
        return (right & (of_element.sum(dim=1) == amount.sum(dim=1))).float().log()

    def __str__(self) -> str:
        return f"the formula {reduced_formula(dict(self.unit))}"


FORMULA = ConstraintKind(
    "composition such as LiFePO4, with any number of formula units in the cell", Formula.read, metavar="F"
)
