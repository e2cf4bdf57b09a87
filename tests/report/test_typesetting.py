"""Formulas and symbols against textbook formulas, our table's symbols and gemmi's screw axes."""

from __future__ import annotations

import re
from html import unescape

import gemmi
import pytest

from symmcd.crystallography.space_group import symbol
from symmcd.report.typesetting import (
    formula_html,
    formula_mathtext,
    symbol_html,
    symbol_mathtext,
    symbol_text,
)

SUBSCRIPT = str.maketrans("₀₁₂₃₄₅₆", "0123456")


@pytest.mark.parametrize("number", range(1, 231))
def test_symbols_are_those_of_the_table_with_the_screws_of_gemmi(number):
    words = gemmi.find_spacegroup_by_number(number).hm.split()
    screws = [
        f"{word[0]}_{word[1]}" for word in (word.split("/")[0] for word in words) if word.isdigit() and len(word) == 2
    ]
    text = re.sub("(.)\u0304", r"-\1", re.sub("([₁₂₃₄₅])", r"_\1", symbol_text(number))).translate(SUBSCRIPT)
    assert re.findall(r"\d_\d", text) == screws
    assert text.replace("_", "") == symbol(number)
    html = re.sub(r'<span class="bar">(.)</span>', r"-\1", re.sub(r"<sub>(.)</sub>", r"_\1", str(symbol_html(number))))
    assert re.sub(r"</?i>", "", html) == text
    assert re.sub(r"\\bar\{(.)\}", r"-\1", symbol_mathtext(number)).replace("{", "").replace("}", "") == f"${text}$"


def test_formulas():
    assert formula_html("Fe2O3") == "Fe<sub>2</sub>O<sub>3</sub>"
    assert formula_html("<i>") == "&lt;i&gt;"
    assert formula_mathtext("Al12O3") == r"$\mathrm{Al_{12}O_{3}}$"


@pytest.mark.parametrize("formula", ["Fe2O3", "\"'><b>", "a&b12<", "&#34;", "NaN", ""])
def test_a_formula_that_is_none_is_the_same_text(formula):
    html = str(formula_html(formula))
    assert unescape(re.sub(r"</?sub>", "", html)) == formula
    assert re.findall(r"<sub>(.*?)</sub>", html) == re.findall(r"\d+", formula)
