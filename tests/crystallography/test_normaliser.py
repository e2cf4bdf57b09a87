"""Templates canonical under the normaliser: against International Tables, pyxtal, and crystals described otherwise."""

from __future__ import annotations

from string import ascii_letters

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from pyxtal.symmetry import Group

from symmcd import reduce
from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
from symmcd.crystallography.normaliser import canonical_arrangement, canonical_template, letter_permutations
from symmcd.crystallography.space_group import operations
from symmcd.crystallography.wyckoff import wyckoff_table
from tests.crystallography.prototypes import PROTOTYPES, prototype


def classes(group: int) -> list[str]:
    """Letters that the normaliser makes of each other (Wyckoff sets)."""
    table = wyckoff_table()
    letters = table.letter[table.start[group - 1] : table.start[group]]
    return sorted({"".join(sorted(set(letters[letter_permutations(group)[:, i]]))) for i in range(len(letters))})


@pytest.mark.parametrize(
    ("group", "sets"),
    [
        (2, ["abcdefgh", "i"]),  # all eight centres of inversion
        (14, ["abcd", "e"]),
        (47, ["A", "abcdefgh", "ijklmnopqrst", "uvwxyz"]),
        (62, ["ab", "c", "d"]),
        (216, ["abcd", "e", "fg", "h", "i"]),
        (221, ["ab", "cd", "ef", "g", "h", "ij", "kl", "m", "n"]),
        (225, ["ab", "c", "d", "e", "f", "g", "hi", "j", "k", "l"]),
        (227, ["ab", "cd", "e", "f", "g", "h", "i"]),
        (230, ["a", "b", "c", "d", "e", "f", "g", "h"]),
    ],
)
def test_wyckoff_sets_of_international_tables(group: int, sets: list[str]) -> None:
    assert classes(group) == sorted(sets)


@pytest.mark.parametrize("group", [2, 12, 14, 47, 62, 63, 123, 139, 141, 166, 187, 194, 216, 221, 225, 227])
def test_every_transformation_that_pyxtal_lists_is_among_ours(group: int) -> None:
    """pyxtal has the Euclidean normalisers as a table; it lists what becomes of the letters, the last one first."""
    ours = {tuple(p) for p in letter_permutations(group).tolist()}
    table = wyckoff_table()
    letters = table.letter[table.start[group - 1] : table.start[group]].tolist()
    listed = Group(group).get_alternatives()["Transformed WP"]
    assert listed
    for text in listed:
        assert tuple(letters.index(letter) for letter in text.split()) in ours


@pytest.mark.parametrize("group", [2, 15, 62, 139, 166, 194, 225])
def test_permutations_are_a_group_that_keeps_multiplicities(group: int) -> None:
    found = letter_permutations(group)
    known = {tuple(p) for p in found.tolist()}
    assert all(tuple(p[q]) in known for p in found[:20] for q in found)
    table = wyckoff_table()
    multiplicity = table.multiplicity[table.start[group - 1] : table.start[group]]
    assert (multiplicity[found] == multiplicity).all()


def test_canonical_is_the_least_and_stays() -> None:
    assert canonical_template("225_b") == "225_a"
    assert canonical_template("225_a_b") == "225_a_b"
    assert canonical_template("221_b_c") == "221_a_d"
    assert canonical_template("2_c_f_i") == "2_a_b_i"
    assert canonical_template("62_c_c_c") == "62_c_c_c"


def arrangement(unit: AsymmetricUnit) -> tuple[int, ...]:
    return canonical_arrangement(unit.space_group, [ascii_letters.index(a) for a in unit.letter], unit.element)


def test_elements_that_change_places_are_another_arrangement() -> None:
    """Perovskite: Sr at the corner or Ti at the corner are one crystal, O in place of Ti is another one."""
    sr, ti, o = 38, 22, 8
    perovskite = canonical_arrangement(221, [0, 1, 2], [sr, ti, o])
    assert canonical_arrangement(221, [1, 0, 3], [sr, ti, o]) == perovskite
    assert canonical_arrangement(221, [3, 0, 1], [o, ti, sr]) == perovskite  # whatever the order of the orbits
    assert canonical_arrangement(221, [0, 1, 2], [ti, sr, o]) != perovskite
    assert canonical_arrangement(225, [0, 1], [11, 17]) == canonical_arrangement(225, [0, 1], [17, 11])


@pytest.mark.parametrize("name", ["TiO2 rutile", "SrTiO3", "TiNiSi", "Al2O3", "MgAl2O4", "CrB", "ThCr2Si2"])
def test_another_description_of_a_crystal_has_the_same_canonical_template(name: str) -> None:
    unit = reduce(prototype(name))
    rng = np.random.default_rng(1)
    for _ in range(5):
        moved = prototype(name).get_primitive_structure()
        order = rng.permutation(3)
        moved = Structure(
            Lattice(moved.lattice.matrix[order]), moved.species, moved.frac_coords[:, order] + rng.uniform(size=3)
        )
        again = reduce(moved)
        assert again.space_group == unit.space_group == PROTOTYPES[name][0]
        assert canonical_template(again.template) == canonical_template(unit.template)
        assert arrangement(again) == arrangement(unit)


def test_an_origin_shift_of_pmmm_changes_letters_but_not_the_class() -> None:
    """Pmmm: the eight corners are one set, and a shift by half a cell keeps every operation."""
    assert len(operations(47)) == 8
    assert len(letter_permutations(47)) == 48
    assert canonical_template("47_a_h") == canonical_template("47_b_g")
    assert canonical_template("47_a_b") != canonical_template("47_a_h")  # along an edge, across the diagonal
