"""The 230 space groups in the standard setting of International Tables A: operations, family, binary code.

Setting: unique axis b, hexagonal axes for rhombohedral groups, origin choice 2.
Operations are (3, 4) matrices [W | w] acting on fractional column vectors, x' = W x + w.
"""

from __future__ import annotations

import difflib
import functools
import operator
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from numbers import Integral

import numpy as np

from symmcd.crystallography.table_files import read_table
from symmcd.errors import InputError

AXES = np.array(
    [
        (0, 0, 1), (0, 1, 0), (1, 0, 0),
        (1, 1, 1), (1, -1, 1), (-1, 1, 1), (-1, -1, 1),
        (1, 1, 0), (1, -1, 0), (1, 0, 1), (1, 0, -1), (0, 1, 1), (0, 1, -1),
        (2, 1, 0), (1, 2, 0),
    ]
)  # fmt: skip
"""(15, 3) directions of symmetry elements as lattice vectors (paper, appendix C); in hexagonal axes too."""

LATTICE_LETTERS = "PIFABCR"

ELEMENTS = (
    "1", "-1", "2", "2_1", "m", "a", "b", "c", "n", "d", "3", "3_1", "3_2", "4", "4_1", "4_2", "4_3",
    "-4", "-3", "6", "6_1", "6_2", "6_3", "6_4", "6_5", "-6",
)  # fmt: skip
"""The 26 symmetry elements of the space-group code (paper, appendix C; a double glide e counts as its two glides)."""

FAMILIES = ("triclinic", "monoclinic", "orthorhombic", "tetragonal", "hexagonal", "cubic")
_LAST_OF_FAMILY = (2, 15, 74, 142, 194, 230)

# symbols of other settings of monoclinic groups, and those from before double glides were called e
_OTHER_SYMBOLS = {
    "I2": 5, "Pa": 7, "Pn": 7, "Im": 8, "Ia": 9, "I2/m": 12, "P2/a": 13, "P2/n": 13, "P2_1/a": 14, "P2_1/n": 14,
    "I2/a": 15, "Abm2": 39, "Aba2": 41, "Cmca": 64, "Cmma": 67, "Ccca": 68,
}  # fmt: skip


@functools.cache
def lattice_points(number: int) -> int:
    """Primitive cells in the conventional one: 1, 2, 3 (R, in hexagonal axes) or 4 (F)."""
    return int((operations(number)[:, :, :3] == np.eye(3)).all(axis=(1, 2)).sum())


def crystal_family(number: int) -> str:
    """Crystal family of a space group; trigonal groups are hexagonal, as they stand in hexagonal axes."""
    return FAMILIES[family_index(number)]


def family_index(number: int) -> int:
    """Index into `FAMILIES`."""
    return int(np.searchsorted(_LAST_OF_FAMILY, check_number(number)))


def check_number(number: int) -> int:
    """`number`, if it names a space group.

    Raises:
        InputError: it is not 1..230.
    """
    try:
        index = operator.index(number)
    except TypeError:  # text, or a fraction
        index = 0
    if not 1 <= index <= 230:
        raise InputError(f"space group {number!r}: expected a number from 1 to 230")
    return index


@dataclass(frozen=True)
class SpaceGroups:
    """All groups, operations one after the other; group g has rows ``start[g-1]:start[g]``, the identity first."""

    symbol: tuple[str, ...]  # Hermann–Mauguin, short, screw axes with an underscore: P6_3/mmc
    elements: tuple[str, ...]  # names in `ELEMENTS`, by axis: "-1;001:4_2 m;100:2 c"; 1 and -1 stand along every axis
    start: np.ndarray  # (231,)
    operations: np.ndarray  # (4425, 3, 4), centring translations included, translations in [0, 1)


@functools.cache
def space_groups() -> SpaceGroups:
    """The table, parsed on first use; `tools/make_tables.py` makes it."""
    rows = read_table("space_groups.csv")
    groups = [row["operations"].split(";") for row in rows]
    start = np.cumsum([0, *map(len, groups)])
    parsed = parse_operations([text for group in groups for text in group])
    parsed.setflags(write=False)
    return SpaceGroups(tuple(row["symbol"] for row in rows), tuple(row["elements"] for row in rows), start, parsed)


def parse_operations(texts: Sequence[str]) -> np.ndarray:
    """(n, 3, 4) operations of coordinate triplets; each different one is parsed once."""
    parsed = {text: parse_triplet(text) for text in set(texts)}
    row = {text: i for i, text in enumerate(parsed)}
    return np.array(list(parsed.values()))[[row[text] for text in texts]]


def operations(number: int) -> np.ndarray:
    """(n, 3, 4) operations of a group's conventional cell, the identity first."""
    table = space_groups()
    check_number(number)
    return table.operations[table.start[number - 1] : table.start[number]]


def symbol(number: int) -> str:
    """Short Hermann–Mauguin symbol, for example ``Fm-3m`` or ``P63/mmc``."""
    return screw_symbol(number).replace("_", "")


def screw_symbol(number: int) -> str:
    """`symbol` with an underscore in each screw axis, as in ``P6_3/mmc``; it tells 3 1 from 3_1."""
    return space_groups().symbol[check_number(number) - 1]


def number_of(group: int | str) -> int:
    """Number of a space group given by its number or by its short Hermann–Mauguin symbol.

    Blanks, capitals and the way a screw axis is written (``P6_3/mmc``, ``P 63/m m c``, ``P6(3)/mmc``) do not matter,
    and a setting behind a colon (``R-3m:H``) is left out.  Known are also `_OTHER_SYMBOLS`, the long symbols of
    monoclinic groups (``P 1 21/c 1``) and cubic ones without a minus (``Fm3m``): other names of the same groups.

    Raises:
        InputError: neither a number from 1 to 230 nor such a symbol.
    """
    if isinstance(group, Integral) and not isinstance(group, bool):
        return check_number(int(group))
    if isinstance(group, str):
        if re.fullmatch(r"\s*[+-]?\d{1,9}\s*", group):
            return check_number(int(group))
        text = unicodedata.normalize("NFKC", re.sub("(\\d)[\u0304\u0305]", r"-\1", group)).replace("\u2212", "-")
        text = re.sub(r"\((\d)\)", r"_\1", re.sub(r":[12hr]$", "", " ".join(text.lower().split())))
        for pattern, number in _symbol_patterns():
            if pattern.fullmatch(text):
                return number
        symbols = {symbol(number).lower(): symbol(number) for number in range(1, 231)}
        near = difflib.get_close_matches(re.sub(r"[ _]", "", text)[:20], symbols)
        hint = f"; near it: {', '.join(symbols[key] for key in near)}" if near else ""
    else:
        hint = ""
    raise InputError(
        f"space group {str(group)[:40]!r}: expected a number from 1 to 230 or a short Hermann–Mauguin symbol of the "
        f"standard setting, such as Pnma, Fm-3m or P6_3/mmc{hint}"
    )


@functools.cache
def _symbol_patterns() -> tuple[tuple[re.Pattern[str], int], ...]:
    """Accepted spellings of each symbol, in small letters, with its number."""
    patterns = []
    for name, number in [*((screw_symbol(number), number) for number in range(1, 231)), *_OTHER_SYMBOLS.items()]:
        letter, *words = re.findall(r"-\d|\d_\d|.", name.lower())
        for spelt in (words, ["1", *words, "1"]) if 3 <= number <= 15 else (words,):
            axes = "(?: ?)".join(spelt).replace("_", "_?")
            if number >= 195:
                axes = axes.replace("-3", "-?3")
            # in a text with blanks, two digits side by side are a screw axis: P 31 2 is no P 3 1 2
            apart = re.sub(r"(?<=\d)\(\?: \?\)(?=\d)", " ", axes)
            patterns.append((re.compile(f"{letter} ?(?:{axes.replace('(?: ?)', '')}|{apart})"), number))
    return tuple(patterns)


def triplets(number: int) -> list[str]:
    """Operations as coordinate triplets, ``x,y,z`` first, as a CIF lists them."""
    return [format_triplet(operation) for operation in operations(number)]


def format_triplet(operation: np.ndarray) -> str:
    """Coordinate triplet of one (3, 4) operation."""
    parts = []
    for row in operation:
        part = "".join(_term(round(float(v)), name) for v, name in zip(row[:3], "xyz", strict=True))
        shift = Fraction(float(row[3])).limit_denominator(48)
        if shift or not part:
            part += f"+{shift}" if part and shift > 0 else str(shift)
        parts.append(part.removeprefix("+"))
    return ",".join(parts)


def _term(factor: int, name: str) -> str:
    if factor == 0:
        return ""
    return ("-" if factor < 0 else "+") + ("" if abs(factor) == 1 else str(abs(factor))) + name


def parse_triplet(text: str) -> tuple[tuple[float, ...], ...]:
    """[W | w] of a coordinate triplet such as ``-y,x-y,z+1/2``."""
    return tuple(_parse_component(part) for part in text.split(","))


@functools.cache
def _parse_component(text: str) -> tuple[float, ...]:
    row = [0.0] * 4
    for term in text.replace("-", "+-").split("+"):
        if not term:
            continue
        if term[-1] in "xyz":
            factor = term[:-1]
            row["xyz".index(term[-1])] += -1.0 if factor == "-" else float(factor or 1)
        else:
            row[3] += float(Fraction(term))
    return tuple(row)


@functools.cache
def space_group_codes() -> np.ndarray:
    """(230, 397) binary codes: 15 axes × 26 symmetry elements, then the lattice letter one-hot (paper, section 4.2).

    Elements are those of the representative operations that International Tables list before adding the centring
    translations.  All 230 codes differ.
    """
    axes = {"".join(map(str, axis)): row for row, axis in enumerate(AXES.tolist())}
    column = {element: i for i, element in enumerate(ELEMENTS)}
    elements = np.zeros((230, len(AXES), len(ELEMENTS)), np.uint8)
    letters = np.zeros((230, len(LATTICE_LETTERS)), np.uint8)
    elements[:, :, column["1"]] = 1
    table = space_groups()
    for group, (symbol, text) in enumerate(zip(table.symbol, table.elements, strict=True)):
        letters[group, LATTICE_LETTERS.index(symbol[0])] = 1
        for part in text.split(";"):
            axis, colon, found = part.partition(":")
            if colon:
                elements[group, axes[axis], [column[element] for element in found.split()]] = 1
            elif axis:
                elements[group, :, column["-1"]] = 1
    codes = np.concatenate([elements.reshape(230, -1), letters], axis=1)
    codes.setflags(write=False)
    return codes
