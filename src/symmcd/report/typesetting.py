"""Formulas and space-group symbols as they are printed: subscripts, overbars, screw axes."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from symmcd.crystallography.space_group import screw_symbol

Text = str | Markup


def formula_html(formula: str) -> Markup:
    """``Fe2O3`` with its numbers as subscripts, escaped."""
    parts = re.split(r"(\d+)", formula)  # before they are escaped: an escaped quote has a number in it
    return Markup("").join(Markup("<sub>{}</sub>").format(p) if i % 2 else escape(p) for i, p in enumerate(parts))


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
    parts: list[tuple[str, Text, str]] = []
    for bar, screw, sub, plain in re.findall(r"-(\d)|(\d)_(\d)|(.)", screw_symbol(number)):
        if bar:
            parts.append(("bar", bar, ""))
        elif screw:
            parts.append(("screw", screw, sub))
        else:
            parts.append(("plain", letter.format(plain) if plain.isalpha() else plain, ""))
    return parts
