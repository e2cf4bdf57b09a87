"""Constraints on crystals: the choices that may be drawn next, and the finished draws that are kept.

A model draws a crystal as space group, number of orbits, Wyckoff positions and elements, then a geometry.  A constraint
says which of these there may be (`Constraint.space_groups`, `orbits`, `atoms`, `elements`, `required`), narrows the
choice at each place (`allowed_positions`, `allowed_elements`), judges the whole (`keep`), bounds the geometry
(`volume`, `known_geometry`), or several of these.  Crystals follow the model's distribution given the constraints, as
far as the proposals that one is kept from can tell (`symmcd.diffusion.drafting`).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from symmcd.errors import InputError
from symmcd.extensions import CONSTRAINTS

if TYPE_CHECKING:  # the help of the command line reads constraints, and loads no torch
    from torch import Tensor

    from symmcd.diffusion.abilities import Abilities
    from symmcd.diffusion.constraints.known_geometry import KnownGeometry
    from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences


class Constraint:
    """A demand that demands nothing; one of these methods, or several, make it one.

    Its text continues the sentence "a crystal has …".
    """

    at_most_one = False  # `keep` gives no factor above 1, so that freely drawn crystals may be looked through first

    @property
    def space_groups(self) -> Sequence[int]:
        """Groups, 1 to 230, that crystals may have; none: any."""
        return ()

    @property
    def orbits(self) -> Collection[int] | None:
        """Numbers of orbits that crystals may have; None: any."""
        return None

    @property
    def atoms(self) -> Collection[int] | None:
        """Numbers of atoms in the primitive cell that crystals may have, 200 at most; None: any."""
        return None

    @property
    def elements(self) -> Collection[int] | None:
        """Atomic numbers that crystals may have; None: any."""
        return None

    @property
    def required(self) -> Collection[int]:
        """Atomic numbers that every crystal has."""
        return ()

    @property
    def formula_unit(self) -> Mapping[int, int] | None:
        """Atoms of each element in a formula unit, of which crystals have any whole number; None: any composition."""
        return None

    def check(self, abilities: Abilities, beside: Sequence[Constraint]) -> None:
        """Raise InputError where a model of these abilities cannot fulfil it, or not with the constraints `beside`.

        What the properties above say is compared beforehand, see `constraints.together`.
        """

    def allowed_positions(self, drawn: WyckoffSequences, place: int, rows: Tensor) -> Tensor | None:  # noqa: ARG002
        """Wyckoff positions that may follow; None: all that are legal.

        Args:
            drawn: B crystals whose positions before `place` are drawn.
            place: of the orbit, from 0.
            rows: (B, R) candidates as rows of the Wyckoff table.

        Returns:
            (B, R) bool.
        """
        return None

    def allowed_elements(self, drawn: WyckoffSequences, place: int) -> Tensor | None:  # noqa: ARG002
        """Elements that may follow; None: all that are legal.

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

    def volume(self, drawn: WyckoffSequences) -> tuple[Tensor, Tensor] | None:  # noqa: ARG002
        """Smallest and largest volume (B,) of each conventional cell, Å³; None: any."""
        return None

    def known_geometry(self, drawn: WyckoffSequences) -> KnownGeometry | None:  # noqa: ARG002
        """Cells and coordinates that are given and stay as they are; None: none are."""
        return None

    @property
    def weighs(self) -> bool:
        """Return whether it limits more than space groups, so that positions and elements are constrained too."""
        own, free = type(self), Constraint
        return any(getattr(own, name) is not getattr(free, name) for name in _OF_A_DRAFT)

    @property
    def looks_only(self) -> bool:
        """Return whether a finished draft can be accepted or refused alone, with a probability that `keep` gives."""
        return self.at_most_one or type(self).keep is Constraint.keep


_OF_A_DRAFT = (
    "orbits", "atoms", "elements", "required", "formula_unit", "allowed_positions", "allowed_elements", "keep",
    "volume", "known_geometry",
)  # fmt: skip


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
                "fix or uninstall the package that offers it"
            )
        constraints.append(constraint)
    return tuple(constraints)


def identity(constraints: Sequence[Constraint]) -> str:
    """Text that identifies constraints: the same for the same demands, by the content of a file and not its name."""
    values = [[str(one), dataclasses.asdict(one) if dataclasses.is_dataclass(one) else ""] for one in constraints]
    return json.dumps(values, sort_keys=True, default=_as_json)


def _as_json(value: Any) -> Any:
    """Arrays of a crystal that a constraint keeps, of numpy or torch, and sets."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} in a constraint: a dataclass of numbers, texts and arrays is expected")


def of_geometries(constraints: Sequence[Constraint]) -> tuple[Constraint, ...]:
    """Those that speak of geometries, which drafts carry along."""
    free = Constraint
    return tuple(
        constraint
        for constraint in constraints
        if type(constraint).volume is not free.volume or type(constraint).known_geometry is not free.known_geometry
    )


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
        raise InputError("no space group satisfies " + " and ".join(str(c) for c in constraints if c.space_groups))
    return tuple(sorted(common))
