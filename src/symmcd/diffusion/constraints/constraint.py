"""What crystals are asked for: masks over what may be drawn next, and which finished draws are kept.

A model draws a crystal as space group, number of orbits, Wyckoff positions and elements.  A constraint narrows any of
these (`Constraint.space_groups`, `allowed_positions`, `allowed_elements`), judges the whole (`keep`), or both.
Crystals follow the model's distribution given the constraints, as far as the proposals that one is kept from can tell
(`symmcd.diffusion.staged.drawing`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from symmcd.errors import InputError
from symmcd.extensions import CONSTRAINTS

if TYPE_CHECKING:  # the help of the command line reads constraints, and loads no torch
    from torch import Tensor

    from symmcd.diffusion.abilities import Abilities
    from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences


class Constraint:
    """A demand that demands nothing; one of these methods, or several, make it one.

    Its text continues the sentence "a crystal has …".
    """

    @property
    def space_groups(self) -> Sequence[int]:
        """Groups, 1 to 230, that crystals may have; none: any."""
        return ()

    def check(self, abilities: Abilities, beside: Sequence[Constraint]) -> None:
        """Raise InputError where a model of these abilities cannot fulfil it, or not with the constraints `beside`."""

    def allowed_positions(self, drawn: WyckoffSequences, place: int, rows: Tensor) -> Tensor | None:  # noqa: ARG002
        """Which Wyckoff positions may follow; None: all that are legal.

        Args:
            drawn: B crystals whose positions before `place` are drawn.
            place: of the orbit, from 0.
            rows: (B, R) candidates as rows of the Wyckoff table.

        Returns:
            (B, R) bool.
        """
        return None

    def allowed_elements(self, drawn: WyckoffSequences, place: int) -> Tensor | None:  # noqa: ARG002
        """Which elements may follow; None: all that are legal.

        Args:
            drawn: B crystals with all positions, whose elements before `place` are drawn (0 from there on).
            place: of the orbit, from 0.

        Returns:
            (118,) or (B, 118) bool, atomic number 1 first.
        """
        return None

    def keep(self, drawn: WyckoffSequences) -> Tensor | None:  # noqa: ARG002
        """Logarithm (B,) of the factor by which finished crystals are to be more frequent; -inf: not wanted."""
        return None

    @property
    def weighs(self) -> bool:
        """Whether crystals are drawn as proposals, of which some are not wanted or too frequent."""
        own, free = type(self), Constraint
        return (
            own.allowed_positions is not free.allowed_positions
            or own.allowed_elements is not free.allowed_elements
            or own.keep is not free.keep
        )


def read_constraints(given: Mapping[str, Any], *, options: bool = False) -> tuple[Constraint, ...]:
    """Constraints of values by their names in `CONSTRAINTS`; None, False and an empty list ask for nothing.

    Args:
        given: name → value.
        options: messages name options of the command line.

    Raises:
        InputError: no such constraint, or a value that it cannot be made of.
    """
    constraints: list[Constraint] = []
    for name, value in given.items():
        kind = CONSTRAINTS[name]
        empty = isinstance(value, Sequence) and not isinstance(value, str) and not len(value)
        if value is None or value is False or empty:
            continue
        called = f"--{name}".replace("_", "-") if options else name
        try:
            constraint = kind.read(value)
        except InputError as error:
            raise InputError(f"{called}: {error}") from None
        except ValueError as error:  # what `int` says of a word, in a package's own reader
            raise InputError(f"{called}: {value!r:.40} cannot be read ({error})") from error
        if not isinstance(constraint, Constraint):
            raise InputError(
                f"{called}: the reader of this constraint gave {type(constraint).__name__}, expected a Constraint; "
                "mend or uninstall the package that offers it"
            )
        constraints.append(constraint)
    return tuple(constraints)


def space_groups_of(constraints: Sequence[Constraint]) -> tuple[int, ...]:
    """Groups that all of `constraints` agree to; none: any.

    Raises:
        InputError: each allows some, and no group is left.
    """
    asked = [set(constraint.space_groups) for constraint in constraints if constraint.space_groups]
    if not asked:
        return ()
    common = set.intersection(*asked)
    if not common:
        raise InputError("no space group is left by " + " and ".join(str(c) for c in constraints if c.space_groups))
    return tuple(sorted(common))
