"""``--chemical-system Li-Fe-P-O``: every crystal has all of these elements and no others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from symmcd.diffusion.constraints.constraint import Constraint
from symmcd.diffusion.constraints.elements import among, in_symbols, some_elements
from symmcd.errors import InputError
from symmcd.extensions import ConstraintKind

if TYPE_CHECKING:
    from torch import Tensor

    from symmcd.diffusion.abilities import Abilities
    from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences


@dataclass(frozen=True)
class ChemicalSystem(Constraint):
    """The elements of each crystal."""

    at_most_one = True

    numbers: tuple[int, ...]  # atomic numbers, ascending

    @classmethod
    def read(cls, value: str | Iterable[int | str]) -> ChemicalSystem:
        """Read from symbols or atomic numbers, in a text with hyphens between them."""
        return cls(some_elements(value.replace("-", ",") if isinstance(value, str) else value))

    @property
    def elements(self) -> Collection[int]:
        return self.numbers

    @property
    def required(self) -> Collection[int]:
        return self.numbers

    def check(self, abilities: Abilities, beside: Sequence[Constraint]) -> None:  # noqa: ARG002
        abilities.check_elements(self.numbers)
        if len(self.numbers) > abilities.most_orbits:
            raise InputError(
                f"a chemical system of {len(self.numbers)} elements: this model's crystals have at most "
                f"{abilities.most_orbits} orbits, and so no more elements"
            )

    def allowed_elements(self, drawn: WyckoffSequences, place: int) -> Tensor:
        """Elements of the system; only those that are still missing, where no more orbits than these are left."""
        before = (drawn.element[:, :place, None] == drawn.element.new_tensor(self.numbers)).any(dim=1)
        last = (~before).sum(dim=1) >= drawn.count - place
        mask = among(self.numbers, drawn).repeat(len(drawn), 1)
        mask[:, [number - 1 for number in self.numbers]] &= ~(last[:, None] & before)
        return mask

    def keep(self, drawn: WyckoffSequences) -> Tensor:
        has = (drawn.element[:, :, None] == drawn.element.new_tensor(self.numbers)).any(dim=1)
        return has.all(dim=1).float().log()

    def __str__(self) -> str:
        return f"every one of the elements {in_symbols(self.numbers)} and no others"


CHEMICAL_SYSTEM = ConstraintKind(
    "use all of these elements and no others, such as Li-Fe-P-O", ChemicalSystem.read, metavar="A-B-…"
)
