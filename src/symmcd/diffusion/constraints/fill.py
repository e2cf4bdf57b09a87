"""``--fill host.cif+Li``: a crystal with unchanged cell and orbits, and further orbits of given elements.

``host.cif-Na+2Li`` first removes all orbits of Na, then adds two of Li.  Crystals keep the host's space group, or have
the requested subgroup, as in ``host.cif+Li@Pnma``.  The model draws the Wyckoff positions of the added orbits, then
their coordinates.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from symmcd.crystallography.composition import NUMBERS
from symmcd.diffusion.constraints.constraint import Constraint
from symmcd.diffusion.constraints.template import unit_of
from symmcd.errors import InputError
from symmcd.extensions import ConstraintKind

if TYPE_CHECKING:
    from torch import Tensor

    from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
    from symmcd.diffusion.abilities import Abilities
    from symmcd.diffusion.constraints.known_geometry import KnownGeometry
    from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences

PAST = 1 << 20  # beyond all rows of the Wyckoff table
EXPECTED = "a file and what is added to its crystal, as host.cif+Li, host.cif-Na+2Li or host.cif+Li@Pnma"


@dataclass(frozen=True)
class Fill(Constraint):
    """A host and what is added to it."""

    space_group: int
    k: tuple[float, ...]  # (6) coefficients of the cell
    host: tuple[tuple[int, int], ...]  # row of the Wyckoff table and atomic number of each kept orbit, ascending
    position: tuple[tuple[float, float, float], ...]  # position of each orbit, fractional, in generator form
    added: tuple[int, ...]  # atomic number of each orbit that is added, ascending
    name: str  # name of the host
    cell: bool = True  # it stays too

    @classmethod
    def read(cls, value: str | Mapping[str, object]) -> Fill:
        """Read from a text, or in Python ``{"host": file or asymmetric unit, "add": ["Li"], "remove": ["Na"]}``.

        With ``"cell": False`` only the coordinates stay, and the cell is made anew.  ``"space_group"`` is a subgroup of
        the host's, by number or symbol, that the crystals have instead.
        """
        from symmcd.crystallography.composition import atomic_numbers_of

        if isinstance(value, Mapping):
            if unknown := sorted(set(value) - {"host", "add", "remove", "cell", "space_group"}):
                raise InputError(f"{unknown[0]!r}: expected host, add, remove, cell and space_group")
            added = atomic_numbers_of(value.get("add", ()))  # type: ignore[arg-type]
            removed = atomic_numbers_of(value.get("remove", ()))  # type: ignore[arg-type]
            host: Any = value.get("host")
            name = fspath(host)[:60] if isinstance(host, str | PathLike) else "the host"
            made = cls.of(unit_of(host), added, removed, name, value.get("space_group"))  # type: ignore[arg-type]
            return replace(made, cell=value.get("cell") is not False)
        found = (
            re.fullmatch(r"(.+?)((?:-[A-Z][a-z]?)*)((?:\+\d{0,2}[A-Z][a-z]?)+)(?:@(.+))?", fspath(value))
            if isinstance(value, str | PathLike)
            else None
        )
        if not found:
            raise InputError(f"{value!r:.60}: expected {EXPECTED}")
        named = re.findall(r"-([A-Z][a-z]?)", found[2])
        counted = re.findall(r"\+(\d*)([A-Z][a-z]?)", found[3])
        if unknown := [symbol for symbol in [*named, *(s for _, s in counted)] if symbol not in NUMBERS]:
            raise InputError(f"{unknown[0]}: no such element; expected {EXPECTED}")
        added = [NUMBERS[symbol] for digits, symbol in counted for _ in range(int(digits or 1))]
        return cls.of(unit_of(found[1]), added, [NUMBERS[symbol] for symbol in named], found[1][:60], found[4])

    @classmethod
    def of(
        cls,
        host: AsymmetricUnit,
        added: Sequence[int],
        removed: Collection[int] = (),
        name: str = "host",
        space_group: int | str | None = None,
    ) -> Fill:
        """Make the constraint for an asymmetric unit.

        Args:
            host: the crystal.
            added: atomic number of each orbit to add.
            removed: elements, all of whose orbits are left out.
            name: of the host, for messages.
            space_group: subgroup of the host's that crystals have, by number or symbol; None: the host's own.

        Raises:
            InputError: nothing to add or nothing left, an element to remove that is not there, or no such subgroup.
        """
        from symmcd.crystallography.composition import SYMBOLS
        from symmcd.crystallography.lattice import k_from_lattice

        if not added:
            raise InputError(f"{name}: nothing is added; expected {EXPECTED}")
        if missing := set(removed) - set(host.element.tolist()):
            raise InputError(f"{name}: it has no {SYMBOLS[min(missing) - 1]} to remove")
        kept = [i for i, element in enumerate(host.element.tolist()) if element not in removed]
        if not kept:
            raise InputError(f"{name}: this removes all its atoms")
        if space_group is not None:
            host = _lowered(host, kept, space_group, name)
            kept = list(range(len(host.element)))
        rows, elements = host.wyckoff.tolist(), host.element.tolist()
        kept.sort(key=lambda i: (rows[i], elements[i]))
        return cls(
            host.space_group,
            tuple(k_from_lattice(host.lattice[None])[0].tolist()),
            tuple((rows[i], elements[i]) for i in kept),
            tuple(tuple(host.position[i].tolist()) for i in kept),
            tuple(sorted(added)),
            name,
        )

    @property
    def space_groups(self) -> Sequence[int]:
        return (self.space_group,)

    @property
    def orbits(self) -> Collection[int]:
        return (len(self.host) + len(self.added),)

    @property
    def elements(self) -> Collection[int]:
        return {*self.added, *(element for _, element in self.host)}

    @property
    def required(self) -> Collection[int]:
        return self.elements

    def check(self, abilities: Abilities, beside: Sequence[Constraint]) -> None:
        abilities.check_elements(sorted(self.elements))
        if (orbits := len(self.host) + len(self.added)) > abilities.most_orbits:
            raise InputError(f"{self}: {orbits} orbits, and this model's crystals have at most {abilities.most_orbits}")
        for other in beside:
            if self.cell and type(other).volume is not Constraint.volume:
                raise InputError(f"{self}, which fixes the cell: leave out {other}")

    def allowed_positions(self, drawn: WyckoffSequences, place: int, rows: Tensor) -> Tensor:
        """Positions of the host in order, with as many others between them as there are orbits to add."""
        import torch

        host = rows.new_tensor([row for row, _ in self.host])
        met = torch.zeros_like(drawn.count)
        for column in range(place):
            met = met + (drawn.wyckoff[:, column] == _at(host, met))
        following = _at(host, met)[:, None]  # beyond all rows where every one is there
        others = len(self.added) - (place - met)
        return (rows == following) | ((rows < following) & (others > 0)[:, None])

    def allowed_elements(self, drawn: WyckoffSequences, place: int) -> Tensor:
        """Elements of the host on its positions, and as many others as there are orbits to add."""
        import torch

        mask = torch.zeros(len(drawn), 118, dtype=torch.bool)
        host = Counter(self.host)
        for row, (positions, elements) in enumerate(
            zip(drawn.wyckoff.tolist(), drawn.element[:, :place].tolist(), strict=True)
        ):
            if place >= int(drawn.count[row]):
                continue
            before = Counter(zip(positions[:place], elements, strict=True))
            missing = host - before
            left = Counter(self.added)
            left.subtract(element for (_, element) in (before - host).elements())
            here = [element for (position, element) in missing if position == positions[place]]
            room = positions[place:].count(positions[place]) - sum(
                count for (position, _), count in missing.items() if position == positions[place]
            )
            allowed = {*here, *(element for element, count in left.items() if count > 0 and room > 0)}
            if here:  # ascending: what is missing here must not be passed
                allowed = {element for element in allowed if element <= min(here)}
            for element in allowed:
                mask[row, element - 1] = True
        return mask.to(drawn.count.device)

    def known_geometry(self, drawn: WyckoffSequences) -> KnownGeometry:
        """The host's cell, and its coordinates on the first orbits of the same position and element."""
        import torch

        from symmcd.diffusion.constraints.known_geometry import KnownGeometry

        position = torch.zeros(*drawn.wyckoff.shape, 3, dtype=torch.float64)
        known = torch.zeros(drawn.wyckoff.shape, dtype=torch.bool)
        for row, (positions, elements) in enumerate(zip(drawn.wyckoff.tolist(), drawn.element.tolist(), strict=True)):
            left = list(zip(self.host, self.position, strict=True))
            for place, pair in enumerate(zip(positions, elements, strict=True)):
                match = next((item for item in left if item[0] == pair), None)
                if match is not None and place < int(drawn.count[row]):
                    left.remove(match)
                    position[row, place] = torch.tensor(match[1], dtype=torch.float64)
                    known[row, place] = True
        device = drawn.count.device
        k = torch.tensor(self.k, dtype=torch.float64).expand(len(drawn), 6)
        return KnownGeometry(
            k.to(device), torch.full((len(drawn),), self.cell, device=device), position.to(device), known.to(device)
        )

    def __str__(self) -> str:
        from symmcd.diffusion.constraints.elements import in_symbols

        return f"all that is kept of {self.name} and orbits of {in_symbols(self.added)}"


def _lowered(host: AsymmetricUnit, kept: Sequence[int], space_group: int | str, name: str) -> AsymmetricUnit:
    """The kept orbits of a host in a subgroup of its space group."""
    from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
    from symmcd.crystallography.space_group import number_of
    from symmcd.structures.subgroups import in_subgroup  # loads pymatgen

    letters = tuple(host.letter[index] for index in kept)
    rest = AsymmetricUnit.exact(host.space_group, host.lattice, host.element[kept], letters, host.position[kept])
    try:
        return in_subgroup(rest, number_of(space_group))
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def _at(values: Tensor, index: Tensor) -> Tensor:
    """``values[index]``, a number above all of them where the index is past the end."""
    from torch.nn.functional import pad

    return pad(values, (0, 1), value=PAST)[index]


FILL = ConstraintKind(
    "keep cell and atoms of this crystal and add orbits of Li; -Na first removes all Na, @Pnma lowers the space group",
    Fill.read,
    metavar="FILE[-Na]+Li[@G]",
    reads_file=True,
)
