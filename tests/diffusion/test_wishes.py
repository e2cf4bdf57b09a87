"""Wishes: combined at random they hold, contradictions are refused, and what is kept stays as it is."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import hypothesis.strategies as some
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Composition, Lattice, Structure

from symmcd import InputError, load_pretrained, reduce, replicate
from symmcd.crystallography.space_group import lattice_points, number_of
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.diffusion.constraints.anonymous_formula import AnonymousFormula, completions
from symmcd.diffusion.constraints.constraint import read_constraints
from symmcd.diffusion.constraints.judged import log_factor
from symmcd.diffusion.constraints.ranges import real_range, whole_range
from symmcd.diffusion.constraints.within_reach import sums_of
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences
from symmcd.extensions import CONSTRAINTS

FEW = {"steps": 3, "proposals": 1, "corrector": False}
RUTILE = Structure.from_spacegroup(
    "P4_2/mnm", Lattice.tetragonal(4.59, 2.96), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]
)


@pytest.fixture(scope="module")
def shipped():
    return load_pretrained(device="cpu")


@pytest.mark.parametrize("group", [1, 2, 14, 47, 136, 166, 225, 230])
def test_sums_within_reach_are_those_of_all_choices_of_positions(group):
    """Against choosing positions one by one."""
    table, most, points = wyckoff_table(), 40, lattice_points(group)
    rows = range(table.start[group - 1], table.start[group])
    for orbits in (1, 2, 3):
        found = set()
        for chosen in itertools.combinations_with_replacement(rows, orbits):
            once = [row for row in set(chosen) if not table.degrees_of_freedom[row]]
            if all(chosen.count(row) == 1 for row in once):
                found.add(int(table.multiplicity[list(chosen)].sum()) // points)
        bits = sums_of(group, 3, most)[0][orbits]
        assert {number for number in range(most + 1) if bits >> number & 1} == {n for n in found if n <= most}


@given(some.lists(some.integers(1, 6), min_size=1, max_size=5), some.lists(some.integers(1, 4), min_size=1, max_size=3))
def test_completions_are_those_of_all_assignments(multiplicity, pattern):
    """Against putting each orbit onto each element."""
    units, rest = divmod(sum(multiplicity), sum(pattern))
    if rest:
        return
    amounts = tuple(sorted(units * number for number in pattern))
    every = set()
    for choice in itertools.product(range(len(pattern)), repeat=len(multiplicity)):
        held = Counter()
        for which, number in zip(choice, multiplicity, strict=True):
            held[which] += number
        every.add(tuple(sorted(held.values())))
    assert completions(tuple(multiplicity), (), amounts)[-1] == (amounts in every)


@pytest.mark.parametrize(
    ("text", "ends"),
    [("4-8", (4, 8)), ("6", (6, 6)), (6, (6, 6)), ("4-", (4, 9)), ((2, None), (2, 9)), (range(3, 6), (3, 5))],
)
def test_ranges_as_people_write_them(text, ends):
    assert whole_range(text, 9) == ends


@pytest.mark.parametrize("text", ["", "8-4", "0", "4-10", "a", "-", True, 2.5, (1, 2, 3), [None]])
def test_what_is_no_range_is_refused(text):
    with pytest.raises(InputError, match="range"):
        whole_range(text, 9)


@pytest.mark.parametrize("text", ["5", "6-5", "dense", (3, 3), "-"])
def test_a_density_is_a_range(text):
    with pytest.raises(InputError, match="expected a range in g"):
        real_range(text, "g/cm³", "4-6")


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"space_group": 62, "polar": True}, "no space group satisfies space group 62 and a polar space group"),
        ({"chiral": True, "centrosymmetric": True}, "no space group satisfies a Sohncke space group and"),
        ({"formula": "LiFePO4", "exclude": "Fe"}, "these contradict each other in Fe"),
        ({"formula": "LiFePO4", "atoms": "8"}, "no number of atoms satisfies the formula LiFePO4 and 8 atoms"),
        ({"formula": "LiFePO4", "orbits": "2-3"}, "4 elements need at least as many orbits"),
        ({"anonymous_formula": "ABX3", "formula": "LiFePO4"}, "has 3 elements, but 4 are required"),
        ({"anonymous_formula": "ABO3"}, "O is an element; letters that stand for any"),
        ({"template": "225: a a"}, "position a is a single point and holds one orbit, not 2"),
        ({"template": "225: a b", "atoms": 4}, "no number of atoms satisfies the Wyckoff positions a b of space"),
        ({"template": "225 a b"}, "expected a space group and Wyckoff letters, such as '225: a b'"),
        ({"space_group": 230, "atoms": "1-5"}, "no crystal can have space group 230 and at most 5 atoms"),
        ({"atoms": 120}, "more than the 20 in the largest primitive cell that this model has learnt from"),
        ({"orbits": 100}, "100 orbits: this model's crystals have at most 20"),
        ({"crystal_system": "cubical"}, "no crystal system 'cubical'; did you mean 'cubic'"),
        ({"density": "900-1000", "chemical_system": "Li-O"}, "none of 64 drawn ones has"),
        ({"fill": {"host": reduce(RUTILE), "add": []}}, "nothing is added"),
        ({"fill": {"host": reduce(RUTILE), "add": ["Li"], "remove": ["Na"]}}, "it has no Na to remove"),
        ({"fill": {"host": reduce(RUTILE), "add": ["Li"]}, "density": "3-4"}, "which fixes the cell: leave out"),
        ({"fill": {"host": reduce(RUTILE), "add": ["Li"], "space_group": 225}}, "225 is no subgroup of 136"),
        (
            {"fill": {"host": reduce(RUTILE), "add": ["Li"], "group": 1}},
            "expected host, add, remove, cell and space_group",
        ),
        ({"fill": "nowhere.cif"}, "expected a file and what is added to its crystal"),
        ({"fill": "nowhere.cif+Li"}, "no such file"),
        ({"like": "nowhere.cif"}, "no such file"),
    ],
    ids=str,
)
def test_what_nothing_can_have_is_refused_in_words(shipped, monkeypatch, wishes, message):
    monkeypatch.setattr("symmcd.diffusion.drafting.ATTEMPTS", 2)
    with pytest.raises(InputError) as refused:
        shipped.draft(2, **wishes)
    assert message in str(refused.value)


WISHES = {
    "crystal_system": some.sampled_from(["cubic", "tetragonal,orthorhombic", "monoclinic"]),
    "polar": some.just(True),
    "centrosymmetric": some.just(True),
    "elements": some.sampled_from(["Li,Fe,O", "Ti,O,Sr,F", "Cu,Au,Zn"]),
    "exclude": some.sampled_from(["O", "Tc,U", "Li"]),
    "chemical_system": some.sampled_from(["Ti-O", "Li-Fe-O"]),
    "anonymous_formula": some.sampled_from(["AB", "AB2", "ABX3"]),
    "formula": some.sampled_from(["TiO2", "LiFeO2"]),
    "atoms": some.sampled_from(["2-6", "4", "5-12"]),
    "orbits": some.sampled_from(["2", "2-4", "3"]),
    "density": some.sampled_from(["3-6", "2-9"]),
}


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(some.fixed_dictionaries({}, optional=WISHES), some.integers(0, 100))
def test_any_wishes_hold_or_are_refused(shipped, wishes, seed):
    """Drafts of random wishes, judged by pymatgen's formulas and by the constraints themselves."""
    try:
        drafts = shipped.draft(2, seed=seed, **wishes)
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return
    factor = log_factor(read_constraints(wishes), WyckoffSequences.from_units(drafts))
    assert bool((factor > -torch.inf).all())
    again = shipped.draft([1], seed=seed, **wishes)
    assert again.arrangement == drafts.arrangement[1:]
    for row in range(2):
        elements = set(drafts.elements[row])
        if "anonymous_formula" in wishes:
            pattern = AnonymousFormula.read(wishes["anonymous_formula"]).amounts
            amounts = [int(amount) for amount in Composition(drafts.formula[row]).values()]
            assert tuple(sorted(amount // math.gcd(*amounts) for amount in amounts)) == pattern
        if "chemical_system" in wishes:
            assert len(elements) == len(wishes["chemical_system"].split("-"))


@pytest.mark.parametrize("wish", [{"density": "4-4.2"}, {"volume_per_atom": (10, 10.2)}, {"density": "-4"}], ids=str)
def test_volumes_are_exact(shipped, wish):
    """By pymatgen's density and volume, in a system whose cells are mostly other ones."""
    for unit in shipped.generate(5, chemical_system="Ti-O", **wish, **FEW):
        structure = replicate(unit)
        per_atom = structure.volume / len(structure)
        if "volume_per_atom" in wish:
            assert 10 <= per_atom <= 10.2
        else:
            assert structure.density <= 4.2
            assert structure.density >= (4 if wish["density"] == "4-4.2" else 0)


def test_a_host_stays_as_it_is(shipped):
    """Cell and coordinates, whatever is added, and what is left out is gone."""
    host = reduce(RUTILE)
    for unit in shipped.generate(4, fill={"host": host, "add": ["Li"]}, seed=1, **FEW):
        assert unit.space_group == 136
        np.testing.assert_allclose(unit.lattice, host.lattice, atol=1e-5)
        kept = [i for i, element in enumerate(unit.element.tolist()) if element != 3]
        assert len(kept) == len(unit.element) - 1
        order = sorted(kept, key=lambda i: unit.letter[i])
        apart = unit.position[order] - host.position[np.argsort(host.letter)]
        np.testing.assert_allclose(apart - np.rint(apart), 0, atol=1e-6)
    for unit in shipped.generate(4, fill={"host": host, "add": ["S", "S"], "remove": ["O"]}, **FEW):
        assert sorted(unit.element.tolist()) == [16, 16, 22]


@pytest.mark.parametrize("group", ["P4_2nm", "58", "P-1"])
def test_a_host_stays_as_it_is_in_a_subgroup_as_well(shipped, group, tmp_path):
    """What is left without the added atoms is the host, to the last atom; the group is the one that was asked for."""
    path = tmp_path / "rutile.cif"
    RUTILE.to(filename=str(path))
    for unit in shipped.generate(3, fill=f"{path}+Li@{group}", seed=1, **FEW):
        assert unit.space_group == number_of(group)
        structure = replicate(unit)
        assert "Li" in structure.composition
        structure.remove_species(["Li"])
        assert StructureMatcher(ltol=1e-3, stol=1e-3, angle_tol=0.1, scale=False).fit(structure, RUTILE)


def test_a_cell_or_coordinates_alone_stay(shipped):
    host = reduce(RUTILE)
    for unit in shipped.generate(3, cell_of=host, elements="Ti,O,F", **FEW):
        assert unit.space_group == 136
        np.testing.assert_allclose(unit.lattice, host.lattice, atol=1e-5)
    oxygen = host.position[host.letter.index("f")]
    for unit in shipped.generate(3, fill={"host": host, "add": ["Li"], "cell": False}, density="0.5-3", **FEW):
        assert 0.5 <= replicate(unit).density <= 3
        own = [i for i, element in enumerate(unit.element.tolist()) if element == 8]
        apart = unit.position[own[0]] - oxygen
        np.testing.assert_allclose(apart - np.rint(apart), 0, atol=1e-6)


def test_a_wish_that_is_too_rare_is_refused_before_all_are_tried(shipped, monkeypatch):
    monkeypatch.setattr("symmcd.diffusion.drafting.HOPELESS", 512)
    with pytest.raises(InputError, match="64 of 64 crystals: none of 32 drawn ones has a density of 900 to 1000"):
        shipped.draft(5000, density="900-1000", chemical_system="Li-O")


def test_a_template_of_a_file_and_an_arrangement(shipped, tmp_path):
    RUTILE.to(filename=str(tmp_path / "rutile.cif"))
    for unit in shipped.generate(4, like=str(tmp_path / "rutile.cif"), **FEW):
        assert (unit.space_group, sorted(unit.letter)) == (136, ["a", "f"])
    for unit in shipped.generate(4, arrangement_of=str(tmp_path / "rutile.cif"), **FEW):
        pairs = sorted(zip(unit.letter, unit.element.tolist(), strict=True))
        assert (unit.space_group, pairs) == (136, [("a", 22), ("f", 8)])


def test_every_shipped_wish_is_described(shipped):
    for name in CONSTRAINTS.shipped:
        assert CONSTRAINTS[name].help
