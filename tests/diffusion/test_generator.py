"""What people type: symbols for space groups and elements, a formula as a text; and words for what is none of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from symmcd.diffusion.pretrained import load_pretrained
from symmcd.errors import InputError


@pytest.fixture(scope="module")
def shipped():
    return load_pretrained("mp20", device="cpu")


def crystals(units):
    return [(unit.space_group, unit.template, unit.element.tolist(), unit.position.tolist()) for unit in units]


@pytest.mark.parametrize("symbol", ["Pnma", "P n m a", np.int64(62), "62"])
def test_a_space_group_by_its_symbol(shipped, symbol):
    expected = shipped.generate(2, 62, seed=1, steps=2, proposals=1)
    assert crystals(shipped.generate(2, space_group=symbol, seed=1, steps=2, proposals=1)) == crystals(expected)


@pytest.mark.parametrize("elements", [["O", 3, "Fe"], "Li,Fe,O"])
def test_elements_by_their_symbols(shipped, elements):
    expected = shipped.generate(2, elements=[3, 8, 26], seed=1, steps=2, proposals=1)
    assert crystals(shipped.generate(2, elements=elements, seed=1, steps=2, proposals=1)) == crystals(expected)


@pytest.mark.parametrize("formula", ["TiO2", "Ti2O4", {"Ti": 1, "O": 2}])
def test_a_formula_as_a_text(shipped, formula):
    options = {"pool": 20, "seed": 1, "steps": 2, "proposals": 1}
    expected = shipped.predict({22: 1, 8: 2}, 3, "P4_2/mnm", **options)
    found = shipped.predict(formula, 3, 136, **options)
    assert crystals(c.unit for c in found) == crystals(c.unit for c in expected)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((1, "Pnmaa"), "near it"),
        ((1, 231), "from 1 to 230"),
        ((1, 62.0), "from 1 to 230"),
        (("TiO2",), "number = 'TiO2': expected a whole number"),
        ((0,), "at least 1"),
        ((2.5,), "expected a whole number"),
        ((None,), "expected a whole number"),
    ],
)
def test_words_for_what_cannot_be_generated(shipped, arguments, words):
    with pytest.raises(InputError, match=words):
        shipped.generate(*arguments)


@pytest.mark.parametrize("elements", [["Xx"], ["li"], 5, [0], "LiFe"])
def test_words_for_what_are_no_elements(shipped, elements):
    with pytest.raises(InputError, match=r"no such element|symbols or atomic numbers"):
        shipped.generate(1, elements=elements)


@pytest.mark.parametrize("formula", [3, None, ["TiO2"], "tio2", "Ti0.5O", {}, {"Ti": 0}])
def test_words_for_what_is_no_formula(shipped, formula):
    with pytest.raises(InputError, match="formula"):
        shipped.predict(formula)


def test_words_for_no_number_of_candidates(shipped):
    with pytest.raises(InputError, match="number = 0"):
        shipped.predict("TiO2", 0)
    with pytest.raises(InputError, match=r"pool = 1\.5"):
        shipped.predict("TiO2", pool=1.5)


def test_weights_by_their_path(tmp_path):
    with pytest.raises(InputError, match=r"none\.safetensors"):
        load_pretrained(tmp_path / "none.safetensors")
    with pytest.raises(InputError, match="no weights named"):
        load_pretrained(Path("mp99"))
