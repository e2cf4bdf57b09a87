"""Formulas and space-group symbols as they are printed: subscripts, overbars, screw axes."""

from __future__ import annotations

import re
from collections.abc import Mapping

from markupsafe import Markup, escape

from symmcd.crystallography.space_group import check_number

Text = str | Markup


def reduced_formula(composition: Mapping[int, int]) -> str:
    """Reduced formula of atomic number → count, by electronegativity as pymatgen orders it, for example ``SrTiO3``."""
    from pymatgen.core import Composition

    return Composition({int(z): int(n) for z, n in composition.items()}).reduced_formula


def formula_html(formula: str) -> Markup:
    """``Fe2O3`` with its numbers as subscripts, escaped."""
    return Markup(re.sub(r"(\d+)", r"<sub>\1</sub>", str(escape(formula))))  # noqa: S704  (escaped)


def formula_mathtext(formula: str) -> str:
    """``Fe2O3`` for matplotlib."""
    return r"$\mathrm{" + re.sub(r"(\d+)", r"_{\1}", formula) + "}$"


def symbol_html(number: int) -> Markup:
    """Short Hermann–Mauguin symbol with overbars and subscripts, letters in italics."""
    form = {
        "bar": Markup('<span class="bar">{}</span>{}'),
        "screw": Markup("{}<sub>{}</sub>"),
        "plain": Markup("{}{}"),
    }
    return Markup("").join(form[kind].format(text, sub) for kind, text, sub in _parts(number, Markup("<i>{}</i>")))


def symbol_mathtext(number: int) -> str:
    """Short Hermann–Mauguin symbol for matplotlib; letters are italic there by themselves."""
    text = "".join(
        rf"\bar{{{digit}}}" if kind == "bar" else f"{digit}_{{{sub}}}" if kind == "screw" else digit
        for kind, digit, sub in _parts(number, "{}")
    )
    return f"${text}$"


def symbol_text(number: int) -> str:
    """Short Hermann–Mauguin symbol in plain Unicode: a macron above, subscript digits."""
    subscript = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
    return "".join(
        f"{digit}\u0304" if kind == "bar" else digit + sub.translate(subscript) if kind == "screw" else digit
        for kind, digit, sub in _parts(number, "{}")
    )


def _parts(number: int, letter: Text) -> list[tuple[str, Text, str]]:
    """(kind, text, subscript) of each element of the symbol; `letter` is how a letter is written."""
    import gemmi

    # Only the spaced symbol tells P 3 1 2 from P 31 2 1: a word 31 is a screw axis.  Monoclinic 1s are not printed.
    words = gemmi.find_spacegroup_by_number(check_number(number)).hm.split()
    if 3 <= number <= 15:
        words = [word for word in words if word != "1"]
    parts: list[tuple[str, Text, str]] = []
    for word in words:
        first, slash, plane = word.partition("/")
        if first.startswith("-"):
            parts.append(("bar", first[1:], ""))
        elif len(first) == 2 and first.isdigit():
            parts.append(("screw", first[0], first[1]))
        else:
            parts.append(("plain", letter.format(first) if first.isalpha() else first, ""))
        if slash:
            parts += [("plain", "/", ""), ("plain", letter.format(plane), "")]
    return parts
