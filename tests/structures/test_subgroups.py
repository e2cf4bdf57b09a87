"""Subgroups with the same lattice, against pyxtal's tables; crystals described in them are the same crystals."""

from __future__ import annotations

import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pyxtal.symmetry import Group
from tests.crystallography.prototypes import PROTOTYPES, prototype

from symmcd import InputError, reduce, replicate
from symmcd.structures.subgroups import in_subgroup, subgroups

# International Tables A1 has F222 among the subgroups of I422, axes a - b and a + b; pyxtal's table does not
BESIDE = {97: {22}, 211: {22}}
NAMES = ("NaCl", "TiO2 rutile", "SrTiO3", "LiCoO2", "TiNiSi", "FeS2")


@pytest.fixture(scope="module")
def maximal() -> dict[int, set[int]]:
    """Numbers of the maximal translationengleiche subgroups of each group, as pyxtal lists them."""
    return {number: set(Group(number, quick=True).get_max_t_subgroup()["subgroup"]) for number in range(1, 231)}


@pytest.mark.parametrize("number", range(1, 231))
def test_numbers_of_all_subgroups_are_those_of_the_tables(number, maximal):
    expected, left = {number}, [number]
    while left:
        for lower in maximal[left.pop()] - expected:
            expected.add(lower)
            left.append(lower)
    assert set(subgroups(number)) == expected | BESIDE.get(number, set())


@pytest.mark.parametrize("name", [name for name in NAMES if name in PROTOTYPES])
def test_a_crystal_in_a_subgroup_is_the_same_crystal(name):
    structure = prototype(name)
    unit = reduce(structure)
    for number in sorted(subgroups(unit.space_group))[-6:]:
        lowered = in_subgroup(unit, number)
        assert lowered.space_group == number
        assert lowered.primitive_atoms == unit.primitive_atoms
        assert len(lowered.element) >= len(unit.element)
        matcher = StructureMatcher(ltol=1e-3, stol=1e-3, angle_tol=0.1)
        assert matcher.fit(replicate(lowered), structure), number
        assert reduce(replicate(lowered), 0.01).space_group == unit.space_group


def test_no_symmetry_at_all_makes_an_orbit_of_each_atom():
    unit = reduce(prototype("TiO2 rutile"))
    assert len(in_subgroup(unit, 1).element) == 6
    assert in_subgroup(unit, unit.space_group) is unit


def test_what_is_no_subgroup_is_refused_with_those_that_are():
    with pytest.raises(InputError, match=r"225 is no subgroup of 136 .* it has .*P4_2nm \(102\), .*P1 \(1\)"):
        in_subgroup(reduce(prototype("TiO2 rutile")), 225)
