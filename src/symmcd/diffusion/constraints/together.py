"""Several constraints together: what they require, and whether any crystal can fulfil them, before a model is loaded.

Numbers of orbits and of atoms are compared with the Wyckoff positions of the groups that are left: which numbers of
atoms so many orbits can have is counted exactly (`constraints.within_reach`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from symmcd.crystallography.composition import SYMBOLS
from symmcd.diffusion.constraints.constraint import Constraint, space_groups_of
from symmcd.errors import InputError

if TYPE_CHECKING:
    import numpy as np

MOST_ATOMS = 200  # largest primitive cell that can be requested; ten times those of MP-20


@dataclass(frozen=True)
class Together:
    """Demands of several constraints; None and empty groups: any."""

    space_groups: tuple[int, ...]
    orbits: frozenset[int] | None
    atoms: frozenset[int] | None
    elements: frozenset[int] | None
    required: frozenset[int]

    @classmethod
    def of(cls, constraints: Sequence[Constraint]) -> Together:
        """Those of `constraints`.

        Raises:
            InputError: they contradict each other.
        """
        orbits = _common(constraints, lambda c: c.orbits, "number of orbits")
        atoms = _common(constraints, lambda c: c.atoms, "number of atoms")
        elements = _common(constraints, lambda c: c.elements, "element")
        required = frozenset(number for constraint in constraints for number in constraint.required)
        if elements is not None and (missing := sorted(required - elements)):
            asking = [c for c in constraints if missing[0] in c.required]
            against = [c for c in constraints if c.elements is not None and missing[0] not in c.elements]
            raise InputError(
                f"{_and(asking)}, but also {_and(against)}: these contradict each other in "
                f"{', '.join(SYMBOLS[number - 1] for number in missing)}"
            )
        if orbits is not None and max(orbits) < len(required):
            asking = [c for c in constraints if c.required]
            raise InputError(
                f"{_and([*asking, *(c for c in constraints if c.orbits is not None and c not in asking)])}: "
                f"{len(required)} elements need at least as many orbits"
            )
        return cls(space_groups_of(constraints), orbits, atoms, elements, required)

    def possible(self, most_orbits: int) -> np.ndarray:
        """(230, M + 1) bool: space group, by its number less 1, and number of orbits that crystals may have.

        Args:
            most_orbits: M of the model.
        """
        import numpy as np

        from symmcd.diffusion.constraints.within_reach import sums_of

        mask = np.zeros((230, most_orbits + 1), dtype=bool)
        wanted = sum(1 << number for number in self.atoms) if self.atoms is not None else 0
        for group in self.space_groups or range(1, 231):
            for orbits in range(max(1, len(self.required)), most_orbits + 1):
                if self.orbits is not None and orbits not in self.orbits:
                    continue
                if self.atoms is None or sums_of(group, most_orbits, max(self.atoms))[0][orbits] & wanted:
                    mask[group - 1, orbits] = True
        return mask


def named_elements(constraints: Sequence[Constraint]) -> set[int]:
    """Atomic numbers that somebody asks for by name: not those that are left where a few are excluded."""
    from symmcd.diffusion.constraints.exclude import Exclude

    return {z for constraint in constraints if not isinstance(constraint, Exclude) for z in constraint.elements or ()}


def check_together(constraints: Sequence[Constraint], most_orbits: int) -> None:
    """Raise InputError where constraints contradict each other, or no Wyckoff positions can have what they ask for.

    Args:
        constraints: of one request.
        most_orbits: of a crystal of the model.
    """
    demand = Together.of(constraints)
    asking = [constraint for constraint in constraints if constraint.weighs]
    if asking and not demand.possible(most_orbits).any():
        raise InputError(
            f"no crystal can have {_and(constraints)}: no set of Wyckoff positions has these numbers of orbits "
            f"and atoms (this model's crystals have at most {most_orbits} orbits); ask for less"
        )


def _common(
    constraints: Sequence[Constraint], of: Callable[[Constraint], Collection[int] | None], noun: str
) -> frozenset[int] | None:
    """Values that all of `constraints` allow.

    Raises:
        InputError: nothing.
    """
    asking: list[tuple[Any, frozenset[int]]] = []
    for constraint in constraints:
        allowed = of(constraint)
        if allowed is not None:
            asking.append((constraint, frozenset(allowed)))
    if not asking:
        return None
    common = frozenset.intersection(*(allowed for _, allowed in asking))
    if not common:
        raise InputError(f"no {noun} satisfies {_and([constraint for constraint, _ in asking])}")
    return common


def _and(constraints: Sequence[Constraint]) -> str:
    return " and ".join(map(str, constraints))
