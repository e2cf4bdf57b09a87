"""Element symbols and formulas, as people type them and as chemists write them."""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from numbers import Integral

from symmcd.crystallography.elements import electronegativities
from symmcd.errors import InputError

SYMBOLS = (
    "H", "He",
    "Li", "Be", "B", "C", "N", "O", "F", "Ne",
    "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar",
    "K", "Ca", "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se", "Br", "Kr",
    "Rb", "Sr", "Y", "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn", "Sb", "Te", "I", "Xe",
    "Cs", "Ba",
    "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu",
    "Hf", "Ta", "W", "Re", "Os", "Ir", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po", "At", "Rn",
    "Fr", "Ra",
    "Ac", "Th", "Pa", "U", "Np", "Pu", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md", "No", "Lr",
    "Rf", "Db", "Sg", "Bh", "Hs", "Mt", "Ds", "Rg", "Cn", "Nh", "Fl", "Mc", "Lv", "Ts", "Og",
)  # fmt: skip
"""Symbols of the atomic numbers 1..118."""

HEAVIEST = len(SYMBOLS)
LONGEST, MOST_ATOMS = 200, 100_000  # characters of a formula, atoms of its smallest unit
NUMBERS = {symbol: number for number, symbol in enumerate(SYMBOLS, start=1)} | {"D": 1, "T": 1}
"""Atomic numbers of symbols; D and T are isotopes of hydrogen."""

PEROXIDES = {f"{symbol}O" for symbol in ("H", "Li", "Na", "K", "Rb", "Cs")}  # written with both atoms of O2
MOLECULES = {"H", "N", "O", "F", "Cl"}  # elements that are written as H2
ANION = 1.65  # if two elements differ by less in electronegativity, several units make an anion in brackets

_CLOSING = {"(": ")", "[": "]", "{": "}"}


def atomic_numbers_of(elements: str | Iterable[int | str]) -> list[int]:
    """Atomic numbers of elements, each given by its symbol or its number; D and T are hydrogen.

    Args:
        elements: in any order, or one text with commas or blanks between them, as in ``Li,Fe,O`` or ``3,26,8``.

    Raises:
        InputError: no such elements, all of which it names.
    """
    if isinstance(elements, str):
        elements = re.split(r"[,\s]+", elements.strip(", \t")) if elements.strip(", \t") else ()
    elif not isinstance(elements, Iterable):
        raise InputError(f"elements {elements!r}: expected symbols or atomic numbers, such as ['Li', 'Fe', 'O']")
    named = list(elements)
    numbers = [_atomic_number(element) for element in named]
    unknown = [element for element, number in zip(named, numbers, strict=True) if number is None]
    if unknown:
        first = unknown[0].strip().capitalize() if isinstance(unknown[0], str) else ""
        near = difflib.get_close_matches(first, NUMBERS, n=1, cutoff=1.0)
        hint = f"did you mean {near[0]}?" if near else f"expected a symbol, or an atomic number from 1 to {HEAVIEST}"
        raise InputError(f"{', '.join(f'{element!r:.22}' for element in unknown[:20])}: no such element; {hint}")
    return [number for number in numbers if number is not None]


def _atomic_number(element: object) -> int | None:
    if isinstance(element, str):
        text = element.strip()
        if not re.fullmatch(r"[0-9]{1,3}", text):
            return NUMBERS.get(text)
        element = int(text)
    if isinstance(element, Integral) and not isinstance(element, bool) and 1 <= int(element) <= HEAVIEST:
        return int(element)
    return None


def parse_formula(text: str) -> dict[int, int]:
    """Atoms of the smallest formula unit by atomic number, in the order of the text.

    Brackets of any kind may be nested, and blanks and subscripts do not matter: ``Ca3(PO4)2`` is {20: 3, 15: 2, 8: 8},
    ``Ti2O4`` and ``TiO₂`` are {22: 1, 8: 2}.

    Raises:
        InputError: no formula of elements in whole numbers.
    """
    if not isinstance(text, str):
        raise InputError(f"formula {text!r}: expected a text such as LiFePO4")
    plain = "".join(unicodedata.normalize("NFKC", text).split())
    if not plain or len(plain) > LONGEST:
        raise InputError(f"formula {text[:40]!r}: expected 1 to {LONGEST} characters, as in LiFePO4")
    counts: dict[int, int] = {}
    for number, count in _counted(plain):
        counts[number] = counts.get(number, 0) + count
    common = math.gcd(*counts.values())
    counts = {number: count // common for number, count in counts.items()}
    if sum(counts.values()) > MOST_ATOMS:
        raise InputError(f"formula {text[:40]!r}: more than {MOST_ATOMS} atoms")
    return counts


def formula_unit_of(formula: str | Mapping[int, int] | Mapping[str, int]) -> dict[int, int]:
    """Atoms of a formula unit by atomic number, of a text (`parse_formula`) or of atoms by element, as it stands.

    Raises:
        InputError: neither, no such element, or no whole numbers of atoms.
    """
    if isinstance(formula, str):
        return parse_formula(formula)
    if not isinstance(formula, Mapping):
        raise InputError(f"formula {formula!r}: expected a text such as 'TiO2', or atoms by element as {{22: 1, 8: 2}}")
    counts: dict[int, int] = {}
    for number, count in zip(atomic_numbers_of(formula), formula.values(), strict=True):
        if not isinstance(count, Integral) or isinstance(count, bool) or not 1 <= int(count) <= MOST_ATOMS:
            raise InputError(
                f"formula {dict(formula)}: {count!r} atoms; expected a whole number, at least 1, at most {MOST_ATOMS}"
            )
        counts[number] = counts.get(number, 0) + int(count)
    if not counts:
        raise InputError("formula {}: at least 1 element is expected, as in {22: 1, 8: 2} or 'TiO2'")
    return counts


def reduced_formula(amounts: Mapping[int, int]) -> str:
    """Formula of the smallest unit, the most electronegative element last: ``LiFePO4``, ``Ca3(PO4)2``, ``O2``.

    It is spelled as in the Materials Project (pymatgen's ``Composition.reduced_formula``), where it can be looked up.

    Args:
        amounts: atoms, at least 1, by atomic number.
    """
    scale = electronegativities()
    order = sorted(amounts, key=lambda number: (scale[number], SYMBOLS[number - 1]))
    common = math.gcd(*amounts.values())
    unit = {number: amounts[number] // common for number in order}
    anion, times = "", 1
    if len(order) >= 3 and scale[order[-1]] - scale[order[-2]] < ANION:
        times = math.gcd(unit[order[-2]], unit[order[-1]])
    if times > 1:
        anion = f"({_written({number: unit.pop(number) // times for number in order[-2:]})}){times}"
    written = _written(unit) + anion
    if written in PEROXIDES | MOLECULES:
        written = _written({number: 2 * count for number, count in unit.items()})
    return written


def _written(counts: Mapping[int, int]) -> str:
    return "".join(f"{SYMBOLS[number - 1]}{count if count > 1 else ''}" for number, count in counts.items())


def _counted(plain: str) -> list[tuple[int, int]]:
    """Atomic number and atoms of each symbol in a formula without blanks."""

    def refuse(where: int, why: str) -> InputError:
        return InputError(f"formula {plain!r}, at {plain[where : where + 8]!r}: {why}; write it like LiFePO4")

    open_at: list[tuple[str, int]] = []  # closing bracket awaited, first entry of `counted` inside
    counted: list[tuple[int, int]] = []
    place = 0
    while place < len(plain):
        # a symbol or a closing bracket takes the number behind it along
        part = re.compile(r"([A-Z][a-z]?|[)\]}])(\d*)(?![.,]\d)|[(\[{]").match(plain, place)
        if not part:
            raise refuse(place, "not an element, bracket or whole number")
        what, digits = part[1], part[2]
        count = int(digits) if digits else 1
        if count == 0 or count > MOST_ATOMS:
            raise refuse(place, f"expected a number from 1 to {MOST_ATOMS}")
        if what is None:
            open_at.append((_CLOSING[part[0]], len(counted)))
        elif what in NUMBERS:
            counted.append((NUMBERS[what], count))
        elif what.isalpha():
            raise refuse(place, f"{what} is not an element")
        elif not open_at or open_at[-1][0] != what or open_at[-1][1] == len(counted):
            raise refuse(place, f"{what} closes nothing")
        else:
            first = open_at.pop()[1]
            counted[first:] = [(number, inner * count) for number, inner in counted[first:]]
        place = part.end()
    if open_at:
        raise InputError(f"formula {plain!r}: {open_at[-1][0]} is missing at the end; write it like Ca3(PO4)2")
    return counted
