"""What crystals are made of, against pymatgen and ASE."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Composition, Element

from symmcd.crystallography import content
from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.composition import parse_formula, reduced_formula
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.structures.units import reduce, replicate
from tests.crystallography.prototypes import PROTOTYPES, prototype
from tests.structures.random_units import random_units

UNITS = AsymmetricUnits.from_units([reduce(prototype(name)) for name in PROTOTYPES], list(PROTOTYPES))
ALL_GROUPS = random_units(list(range(1, 231)), seed=3)


@given(st.dictionaries(st.integers(1, 118), st.integers(1, 24), min_size=1, max_size=5))
def test_a_formula_is_pymatgens_and_is_read_back(amounts):
    with warnings.catch_warnings(action="ignore"):
        expected = Composition({Element.from_Z(z): n for z, n in amounts.items()}).reduced_formula
    assert reduced_formula(amounts) == expected
    read, common = parse_formula(expected), math.gcd(*amounts.values())
    assert read == {z: n // common for z, n in amounts.items()}


@pytest.mark.parametrize(
    ("amounts", "formula"),
    [
        ({8: 16, 3: 4, 26: 4, 15: 4}, "LiFePO4"),
        ({8: 8, 15: 2, 20: 3}, "Ca3(PO4)2"),
        ({8: 12, 38: 4, 22: 4}, "SrTiO3"),
        ({8: 5}, "O2"),
        ({3: 4, 8: 4}, "Li2O2"),
        ({11: 1, 8: 1, 1: 1}, "NaHO"),
        ({26: 4}, "Fe"),
        ({54: 1, 9: 2}, "XeF2"),
    ],
)
def test_formulas(amounts, formula):
    assert reduced_formula(amounts) == formula


def test_contents_are_those_of_the_whole_cells():
    structures = [replicate(UNITS[i]) for i in range(len(UNITS))]
    counts = content.amounts(UNITS)
    assert counts.shape == (len(UNITS), 119)
    for row, structure in zip(counts, structures, strict=True):
        assert row.tolist() == np.bincount(structure.atomic_numbers, minlength=119).tolist()
    assert content.number_of_elements(UNITS).tolist() == [len(s.composition) for s in structures]
    assert content.formulas(UNITS) == [s.composition.reduced_formula for s in structures]
    assert content.densities(UNITS) == pytest.approx([s.density for s in structures], rel=1e-3)  # Zn 65.38, 65.41


def test_primitive_cells_are_pymatgens():
    expected = [len(replicate(UNITS[i]).get_primitive_structure()) for i in range(len(UNITS))]
    assert content.primitive_atoms(UNITS).tolist() == expected


def test_many_crystals_at_once_are_as_each_by_itself():
    for units in (UNITS, ALL_GROUPS):
        each = [units[i] for i in range(len(units))]
        assert content.templates(units) == [unit.template for unit in each]
        assert content.formulas(units) == [unit.formula for unit in each]
        assert content.primitive_atoms(units).tolist() == [unit.primitive_atoms for unit in each]
        assert content.amounts(units).sum(axis=1).tolist() == units.number_of_atoms.tolist()


def test_templates_do_not_see_elements_or_order():
    salt = UNITS[list(PROTOTYPES).index("NaCl")]
    turned = type(salt).exact(225, salt.lattice, salt.element[::-1] - 3, salt.letter[::-1], salt.position[::-1])
    assert content.templates(AsymmetricUnits.from_units([salt, turned])) == ["225_a_b", "225_a_b"]


def test_nothing_has_no_contents():
    none = AsymmetricUnits.empty()
    for measure in (content.densities, content.number_of_elements, content.primitive_atoms, content.amounts):
        assert len(measure(none)) == 0
    assert content.templates(none) == content.formulas(none) == []


def test_arrangements_are_the_same_for_every_description():
    """Rock salt and perovskite from either corner, orbits in any order; other elements or letters are others."""

    def flat(group: int, orbits: str) -> AsymmetricUnits:
        letter, element = zip(*(orbit.split() for orbit in orbits.split(", ")), strict=True)
        cell = 4 * np.eye(3)
        first = np.array([wyckoff_table().generator[row][:, 3] for row in rows_of(group, letter)])
        return AsymmetricUnits.from_units([AsymmetricUnit(group, cell, list(element), letter, first)])

    def rows_of(group: int, letter: Sequence[str]) -> list[int]:
        table = wyckoff_table()
        known = table.letter[table.start[group - 1] : table.start[group]].tolist()
        return [table.start[group - 1] + known.index(name) for name in letter]

    salt = content.arrangements(flat(225, "a Na, b Cl"))
    assert salt == ["225_aNa_bCl"]
    assert content.arrangements(flat(225, "b Na, a Cl")) == content.arrangements(flat(225, "b Cl, a Na")) == salt
    perovskite = content.arrangements(flat(221, "a Sr, b Ti, c O"))
    assert content.arrangements(flat(221, "d O, a Ti, b Sr")) == perovskite
    assert content.arrangements(flat(221, "a Ti, b Sr, c O")) != perovskite
    assert content.arrangements(flat(221, "a Sr, b Zr, c O")) != perovskite
    together = AsymmetricUnits.concatenate([flat(225, "a Na, b Cl"), flat(221, "a Sr, b Ti, c O")])
    assert content.arrangements(together) == salt + perovskite
