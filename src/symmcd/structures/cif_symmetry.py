"""Statements of a CIF about its symmetry, unchanged: lists of operations, symbols and numbers of the space group."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass

import gemmi

from symmcd.structures.crystal import StructureError
from symmcd.structures.symmetry_operations import Operations, by_hall, by_symbol, listed, of_setting

_OPERATIONS = (
    "_symmetry_equiv_pos_as_xyz", "_space_group_symop_operation_xyz",
    "_symmetry_equiv.pos_as_xyz", "_space_group_symop.operation_xyz",
)  # fmt: skip
_HALL = ("_space_group_name_Hall", "_symmetry_space_group_name_Hall")
_HERMANN_MAUGUIN = ("_symmetry_space_group_name_H-M", "_space_group_name_H-M_alt", "_space_group_name_H-M_ref")
_NUMBER = ("_symmetry_Int_Tables_number", "_space_group_IT_number")


@dataclass(frozen=True)
class Statement:
    """A group that the file names."""

    text: str  # as in "the symbol 'F m -3 m'"
    number: int
    orders: frozenset[int]  # operations that the setting has, modulo the translations of its cell

    def names(self, operations: Operations) -> bool:
        """Return whether the operations are of the group, and of as small a part of the crystal as its cell."""
        return operations.number == self.number and len(operations) in self.orders


@dataclass(frozen=True)
class Symmetry:
    """Texts of one block, distinct, in the order of their tags; what cannot be read has None."""

    lists: tuple[Operations, ...]
    halls: dict[str, Operations | None]
    symbols: dict[str, gemmi.SpaceGroup | None]  # Hermann–Mauguin
    numbers: tuple[str, ...]
    magnetic: bool  # operations of a magnetic group are listed

    @classmethod
    def of(cls, block: gemmi.cif.Block) -> Symmetry:
        """The symmetry that a block states.

        Raises:
            StructureError: unparseable or too_large, of listed operations.
        """
        columns = (tuple(filter(None, map(gemmi.cif.as_string, block.find_values(tag)))) for tag in _OPERATIONS)
        lists = tuple(listed(triplets) for triplets in dict.fromkeys(columns) if triplets)
        angles = [gemmi.cif.as_number(block.find_value(f"_cell_angle_{n}") or "?") for n in ("alpha", "gamma")]
        return cls(
            lists,
            {text: by_hall(text) for text in texts(block, _HALL)},
            {text: by_symbol(text, *angles) for text in texts(block, _HERMANN_MAUGUIN)},
            tuple(texts(block, _NUMBER)),
            any("symop_magn" in name for name in block.get_mmcif_category_names()),
        )

    def sources(self) -> Iterator[tuple[str, Operations]]:
        """The operations that the file lists, and those of its symbols.

        Raises:
            StructureError: unknown_space_group, where it lists none and names no setting that can be read.
        """
        if self.lists:
            yield "the operations listed", self.lists[0]
        elif self.magnetic:
            raise StructureError("unknown_space_group", "a magnetic CIF; magnetic operations are not read")
        for text, operations in list(self.halls.items())[:1]:
            if operations is not None:
                yield f"the Hall symbol {text!r}", operations
            elif not self.lists:
                raise StructureError("unknown_space_group", f"Hall symbol {text!r}")
        if not (self.symbols or self.halls or self.lists):
            if not set(self.numbers) <= {"1"}:
                raise StructureError(
                    "unknown_space_group",
                    f"number {self.numbers[0]!r}, and neither symbol nor operations; its setting is not known",
                )
            yield "the file, which names no group,", listed(("x,y,z",))  # every atom is listed
        for text, setting in self.symbols.items():
            if setting is not None and _origin_is_known(text, setting):
                yield f"the symbol {text!r}", of_setting(setting.hall)
            elif not (self.lists or self.halls):
                what = "is unknown" if setting is None else "has two origin choices"
                raise StructureError("unknown_space_group", f"symbol {text!r} {what}, and no operations are listed")

    def statements(self) -> list[Statement]:
        """Every space group that the file names and that can be read."""
        named = [
            Statement(f"the symbol {text!r}", found.number, frozenset({len(of_setting(found.hall))}))
            for text, found in self.symbols.items()
            if found is not None
        ]
        more = [(f"the Hall symbol {text!r}", found) for text, found in self.halls.items() if found is not None]
        more += [(f"a second list of {len(found)} operations", found) for found in self.lists[1:]]
        named += [Statement(text, found.number, frozenset({len(found)})) for text, found in more]
        numbers = [text for text in self.numbers if re.fullmatch(r"\d{1,3}", text) and 1 <= int(text) <= 230]
        return named + [Statement(f"number {text}", int(text), _orders(int(text))) for text in numbers]


def _origin_is_known(symbol: str, setting: gemmi.SpaceGroup) -> bool:
    return setting.ext not in ("1", "2") or ":" in symbol or re.search(r" [SZ]$|O[12]$", symbol) is not None


@functools.cache
def _orders(number: int) -> frozenset[int]:
    """Operations in any of the tabulated settings of a group."""
    return frozenset(len(of_setting(g.hall)) for g in gemmi.spacegroup_table() if g.number == number)


def texts(block: gemmi.cif.Block, tags: tuple[str, ...]) -> list[str]:
    """Distinct values given under `tags`, without those that say nothing."""
    values = (gemmi.cif.as_string(value).strip() for tag in tags if (value := block.find_value(tag)))
    return list(dict.fromkeys(value for value in values if value))
