"""``--template "225: a b"``: space group and occupied Wyckoff positions; ``--like file.cif``: those of a crystal.

``--arrangement-of file.cif`` keeps the elements too, so that crystals differ in their geometry alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from symmcd.diffusion.constraints.constraint import Constraint
from symmcd.errors import InputError
from symmcd.extensions import ConstraintKind

if TYPE_CHECKING:
    from torch import Tensor

    from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
    from symmcd.diffusion.abilities import Abilities
    from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences


@dataclass(frozen=True)
class Template(Constraint):
    """One set of Wyckoff positions, in one setting, and the elements on them where these are kept."""

    space_group: int
    wyckoff: tuple[int, ...]  # rows of the Wyckoff table, ascending
    kept: tuple[int, ...] = ()  # atomic number on each, ascending where positions repeat; empty: any

    @classmethod
    def read(cls, value: str) -> Template:
        """Read from a text: the group, a colon, and the letter of each orbit."""
        group, colon, letters = value.partition(":") if isinstance(value, str) else ("", "", "")
        if not colon:
            raise InputError(f"{value!r:.40}: expected a space group and Wyckoff letters, such as '225: a b'")
        from symmcd.crystallography.space_group import number_of
        from symmcd.crystallography.wyckoff import wyckoff_table

        number = number_of(group.strip())
        names = re.findall(r"\d*([A-Za-z])(?=[\s,]|$)", letters)
        if not names or len(names) != len(re.split(r"[\s,]+", letters.strip())):
            raise InputError(f"{value!r:.40}: expected the letter of each orbit, such as '225: a b' or '62: a c c c d'")
        table = wyckoff_table()
        rows = sorted(table.row(number, name) for name in names)
        _check_room(number, rows)
        return cls(number, tuple(rows))

    @classmethod
    def like(cls, value: str | PathLike[str] | AsymmetricUnit) -> Template:
        """Positions of a crystal: of a file with one, or an asymmetric unit."""
        unit = unit_of(value)
        rows = sorted(unit.wyckoff.tolist())
        _check_room(unit.space_group, rows)
        return cls(unit.space_group, tuple(rows))

    @classmethod
    def arrangement(cls, value: str | PathLike[str] | AsymmetricUnit) -> Template:
        """Positions and elements of a crystal."""
        unit = unit_of(value)
        pairs = sorted(zip(unit.wyckoff.tolist(), unit.element.tolist(), strict=True))
        _check_room(unit.space_group, [row for row, _ in pairs])
        return cls(unit.space_group, tuple(row for row, _ in pairs), tuple(element for _, element in pairs))

    @property
    def space_groups(self) -> Sequence[int]:
        return (self.space_group,)

    @property
    def orbits(self) -> Collection[int]:
        return (len(self.wyckoff),)

    @property
    def atoms(self) -> Collection[int]:
        from symmcd.crystallography.space_group import lattice_points
        from symmcd.crystallography.wyckoff import wyckoff_table

        return (int(wyckoff_table().multiplicity[list(self.wyckoff)].sum()) // lattice_points(self.space_group),)

    @property
    def elements(self) -> Collection[int] | None:
        return self.kept or None

    @property
    def required(self) -> Collection[int]:
        return self.kept

    def check(self, abilities: Abilities, beside: Sequence[Constraint]) -> None:  # noqa: ARG002
        abilities.check_elements(self.kept)
        if len(self.wyckoff) > abilities.most_orbits:
            raise InputError(
                f"{self}: {len(self.wyckoff)} orbits, and this model's crystals have at most {abilities.most_orbits}"
            )

    def allowed_positions(self, drawn: WyckoffSequences, place: int, rows: Tensor) -> Tensor:  # noqa: ARG002
        return rows == self.wyckoff[min(place, len(self.wyckoff) - 1)]

    def allowed_elements(self, drawn: WyckoffSequences, place: int) -> Tensor | None:
        if not self.kept:
            return None
        from symmcd.diffusion.constraints.elements import among

        return among([self.kept[min(place, len(self.kept) - 1)]], drawn)

    def __str__(self) -> str:
        from symmcd.crystallography.wyckoff import wyckoff_table
        from symmcd.diffusion.constraints.elements import in_symbols

        letters = " ".join(wyckoff_table().letter[list(self.wyckoff)].tolist())
        text = f"the Wyckoff positions {letters} of space group {self.space_group}"
        return f"{text} with {in_symbols(self.kept)} on them" if self.kept else text


def _check_room(group: int, rows: Sequence[int]) -> None:
    """Refuse two orbits on a single point."""
    from symmcd.crystallography.wyckoff import wyckoff_table

    table = wyckoff_table()
    for row in sorted(set(rows)):
        if rows.count(row) > 1 and not table.degrees_of_freedom[row]:
            raise InputError(
                f"space group {group}: position {table.letter[row]} is a single point and holds one orbit, not "
                f"{rows.count(row)}"
            )


def unit_of(value: str | PathLike[str] | AsymmetricUnit) -> AsymmetricUnit:
    """Asymmetric unit of a file with one crystal, or as it is.

    Raises:
        InputError: no file, no crystal, no symmetry found, or something else.
    """
    from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
    from symmcd.structures.units import reduce  # loads pymatgen

    if isinstance(value, AsymmetricUnit):
        return value
    if not isinstance(value, str | PathLike):
        raise InputError(f"{value!r:.40}: expected a file with one crystal, such as a .cif")
    return reduce(Path(value))


TEMPLATE = ConstraintKind(
    "space group and the Wyckoff letter of each orbit, such as '225: a b'", Template.read, metavar="'G: L …'"
)
LIKE = ConstraintKind(
    "space group and Wyckoff positions of the crystal in this file, other elements",
    Template.like,
    metavar="FILE",
    reads_file=True,
)
ARRANGEMENT_OF = ConstraintKind(
    "space group, Wyckoff positions and elements of the crystal in this file, another geometry",
    Template.arrangement,
    metavar="FILE",
    reads_file=True,
)
