"""Formulas against pymatgen's parser, symbols against ASE's table, and what is refused in words."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from ase.data import chemical_symbols
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Composition

from symmcd.crystallography.composition import SYMBOLS, atomic_numbers_of, formula_unit_of, parse_formula
from symmcd.errors import InputError

units = st.lists(st.tuples(st.sampled_from(SYMBOLS), st.integers(1, 12)), min_size=1, max_size=4)


def test_symbols_are_those_of_ase():
    assert list(SYMBOLS) == chemical_symbols[1:119]


@given(units, units, st.integers(1, 5), st.sampled_from(["()", "[]", "{}"]))
def test_formulas_are_read_as_pymatgen_reads_them(outside, inside, times, brackets):
    def text(parts):
        return "".join(symbol + (str(n) if n > 1 else "") for symbol, n in parts)

    formula = f"{text(outside)}{brackets[0]}{text(inside)}{brackets[1]}{times}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # noble gases have no electronegativity to sort by
        expected = Composition(formula).get_integer_formula_and_factor()[0]
        expected = Composition(expected).as_dict()
    found = parse_formula(formula)
    divisor = np.gcd.reduce([int(n) for n in expected.values()])
    assert {SYMBOLS[z - 1]: n for z, n in found.items()} == {e: int(n) // divisor for e, n in expected.items()}


@pytest.mark.parametrize(
    ("formula", "unit"),
    [
        ("TiO2", {22: 1, 8: 2}),
        ("Ti2O4", {22: 1, 8: 2}),
        ("TiO₂", {22: 1, 8: 2}),
        (" Ca3 (P O4)2 ", {20: 3, 15: 2, 8: 8}),
        ("[Fe(CN)6]4", {26: 1, 6: 6, 7: 6}),
        ("CO", {6: 1, 8: 1}),
        ("Co", {27: 1}),
        ("D2O", {1: 2, 8: 1}),
        ("HDO", {1: 2, 8: 1}),
        ("Og118", {118: 1}),
    ],
)
def test_a_formula_is_its_smallest_unit(formula, unit):
    assert parse_formula(formula) == unit


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("", "1 to 200 characters"),
        ("H" * 201, "1 to 200 characters"),
        ("tio2", "not an element, bracket"),
        ("Xx2", "Xx is not an element"),
        ("Ti0.5O", "not an element, bracket"),
        ("TiO2.5", "not an element, bracket"),
        ("Fe3+", "not an element, bracket"),
        ("Ti-O2", "not an element, bracket"),
        ("CaSO4·2H2O", "not an element, bracket"),
        ("H0", "from 1 to 100000"),
        ("Ti(O2", r"\) is missing"),
        ("TiO2)", r"\) closes nothing"),
        ("(TiO2]", r"\] closes nothing"),
        ("Ti()O", r"\) closes nothing"),
        ("H" + "9" * 5000, "1 to 200 characters"),
        ("H" + "9" * 190, "from 1 to 100000"),
        ("(((H99999)99999)99999)O", "more than 100000 atoms"),
        (3, "expected a text"),
        (None, "expected a text"),
        ({"Ti": 1}, "expected a text"),
    ],
)
def test_no_formula(formula, words):
    with pytest.raises(InputError, match=words):
        parse_formula(formula)


@given(st.text(max_size=30))
def test_any_text_is_a_formula_or_refused(text):
    try:
        found = parse_formula(text)
    except InputError:
        return
    assert found
    assert all(1 <= z <= 118 and n >= 1 for z, n in found.items())


@pytest.mark.parametrize(
    ("elements", "numbers"),
    [
        (["Li", "Fe"], [3, 26]),
        (["Fe", 3, np.int64(8)], [26, 3, 8]),
        ("Li,Fe,O", [3, 26, 8]),
        ("Li Fe, O", [3, 26, 8]),
        ("O", [8]),
        ([], []),
        ("", []),
        (("D", "T"), [1, 1]),
        (np.array([1, 118]), [1, 118]),
    ],
)
def test_elements_by_symbol_or_number(elements, numbers):
    found = atomic_numbers_of(elements)
    assert found == numbers
    assert all(type(number) is int for number in found)


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        (["li"], "did you mean Li"),
        (["CO"], "did you mean Co"),
        (["Xx"], "no such element"),
        ("LiFe", "no such element"),
        ([0], "1 to 118"),
        ([119], "1 to 118"),
        ([-1], "1 to 118"),
        ([2.0], "1 to 118"),
        ([True], "1 to 118"),
        ([None], "1 to 118"),
        (5, "symbols or atomic numbers"),
    ],
)
def test_no_elements(elements, words):
    with pytest.raises(InputError, match=words):
        atomic_numbers_of(elements)


@pytest.mark.parametrize(
    ("formula", "unit"),
    [
        ("Ti2O4", {22: 1, 8: 2}),
        ({22: 1, 8: 2}, {22: 1, 8: 2}),
        ({22: 2, 8: 4}, {22: 2, 8: 4}),  # as it stands
        ({"Ti": np.int64(1), "O": 2}, {22: 1, 8: 2}),
        ({"D": 1, "H": 1, "O": 1}, {1: 2, 8: 1}),
    ],
)
def test_formula_units(formula, unit):
    assert formula_unit_of(formula) == unit


@pytest.mark.parametrize(
    "formula", [3, None, ["Ti", "O2"], {}, {"Ti": 0}, {"Ti": 1.5}, {"Ti": "2"}, {"Xx": 1}, {0: 1}, {22: -1}]
)
def test_no_formula_unit(formula):
    with pytest.raises(InputError, match=r"expected|no such element"):
        formula_unit_of(formula)
