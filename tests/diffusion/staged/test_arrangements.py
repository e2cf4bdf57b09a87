"""Crystals of a composition: every one, each once, as likely as the network says, and of that composition."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from symmcd import replicate
from symmcd.crystallography.space_group import lattice_points, symbol
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.diffusion.generator import Generator
from symmcd.diffusion.staged.arrangements import (
    Composition,
    Pool,
    fillings,
    from_template_tensors,
    likeliest,
    likeliest_first,
    template_tensors,
    with_composition,
)
from symmcd.diffusion.staged.likelihood import log_probabilities, position_log_probabilities
from symmcd.diffusion.staged.objectives import negative_log_likelihood
from symmcd.diffusion.staged.wyckoff_network import WyckoffNetwork
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences
from symmcd.errors import InputError
from tests.diffusion.crystals import SMALL_STAGED, random_units

TABLE = wyckoff_table()
SEQUENCES = WyckoffSequences.from_units(random_units(80, seed=7, largest=5))


@pytest.fixture(scope="module")
def network() -> WyckoffNetwork:
    torch.manual_seed(1)
    return WyckoffNetwork(SMALL_STAGED).eval()


@pytest.mark.parametrize("number", range(1, 231))
def test_lattice_points_are_those_of_the_bravais_letter(number):
    assert lattice_points(number) == {"P": 1, "A": 2, "B": 2, "C": 2, "I": 2, "R": 3, "F": 4}[symbol(number)[0]]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([1, 2, 4])), min_size=1, max_size=5),
    st.dictionaries(st.integers(1, 9), st.integers(1, 4), min_size=1, max_size=3),
)
def test_fillings_are_what_trying_everything_finds(orbits, composition):
    """Against brute force: all choices of elements, those with the composition, in canonical order."""
    size = dict(orbits)  # one multiplicity a position
    wyckoff = sorted(position for position, _ in orbits)
    multiplicity = [size[position] for position in wyckoff]
    expected = []
    for elements in itertools.product(sorted(composition), repeat=len(wyckoff)):
        atoms: Counter[int] = Counter()
        for element, number in zip(elements, multiplicity, strict=True):
            atoms[element] += number
        units = {atoms[element] / number for element, number in composition.items()}
        ascending = all(a <= b or v != w for (v, a), (w, b) in itertools.pairwise(zip(wyckoff, elements, strict=True)))
        if len(units) == 1 and units.pop().is_integer() and ascending:
            expected.append(elements)
    assert list(fillings(wyckoff, multiplicity, composition)) == expected


def test_log_probabilities_sum_to_the_likelihood_of_training(network):
    found = log_probabilities(network, SEQUENCES, batch_size=7).sum(dim=(0, 1))
    with torch.no_grad():
        torch.testing.assert_close(-found, negative_log_likelihood(network, SEQUENCES), rtol=1e-4, atol=1e-4)


def test_positions_alone_have_the_logits_that_they_have_beside_elements(network):
    exist = SEQUENCES.mask
    with torch.no_grad():
        torch.testing.assert_close(network.positions(SEQUENCES)[exist], network(SEQUENCES).wyckoff[exist])


def test_templates_come_back_each_once():
    repeated = WyckoffSequences.concatenate([SEQUENCES, SEQUENCES.select(torch.arange(20))])
    found = from_template_tensors(template_tensors(repeated))
    names = [tuple(row[:count].tolist()) for row, count in zip(found.wyckoff, found.count, strict=True)]
    assert len(names) == len(set(names))
    assert set(names) == {tuple(r[:n].tolist()) for r, n in zip(SEQUENCES.wyckoff, SEQUENCES.count, strict=True)}
    assert all(
        TABLE.space_group[name[0]] == group for name, group in zip(names, found.space_group.tolist(), strict=True)
    )


def test_the_likeliest_come_first_and_descriptions_count_once(network):
    """Rock salt on a and b of Fm-3m: the elements may change places, which is the same crystal."""
    first = int(TABLE.start[224])
    ab = [first, first + 1, 0]
    drawn = WyckoffSequences(
        torch.tensor([225, 225, 139]),
        torch.tensor([2, 2, 2]),
        torch.tensor([ab, ab, [int(TABLE.start[138]), int(TABLE.start[138]) + 1, 0]]),
        torch.zeros(3, 3, dtype=torch.int64),
    )
    crystals = with_composition(Pool(drawn), Composition({8: 1, 38: 1}))
    assert crystals.space_group.tolist() == [225, 225, 139, 139]  # what was drawn twice is there once, both ways round
    prior = torch.zeros(230, 6)
    prior[138] = -50.0
    found = likeliest(network, crystals, prior, 10)
    assert found.sequences.space_group.tolist() == [225, 139]
    said = log_probabilities(network, crystals).sum(dim=(1, 2))
    assert float(found.log_probability[0]) == pytest.approx(float(said[:2].max()))
    assert float(found.log_probability[1]) == pytest.approx(float(said[2:].max()) - 50)
    assert len(likeliest(network, crystals, prior, 1)) == 1


def test_what_the_prior_forbids_is_not_among_them(network):
    """Or a space group that was asked for had others behind it, once its own arrangements were used up."""
    prior = torch.full((230, 6), -torch.inf)
    prior[62 - 1] = 0.0
    found = likeliest_first(network, SEQUENCES, prior)
    assert len(found) == (SEQUENCES.space_group == 62).sum() > 3
    said = log_probabilities(network, found)[:, :, 0].sum(dim=1)
    torch.testing.assert_close(position_log_probabilities(network, found, batch_size=3), said)
    assert said.tolist() == sorted(said.tolist(), reverse=True)


def test_where_there_are_too_many_those_on_the_likeliest_positions_are_rated():
    every = with_composition(Pool(SEQUENCES), Composition({8: 1, 38: 1}))
    some = with_composition(Pool(SEQUENCES), Composition({8: 1, 38: 1}), most=5)
    assert len(every) > len(some) == 5
    assert torch.equal(some.wyckoff, every.wyckoff[:5])
    assert torch.equal(some.element, every.element[:5])


@pytest.mark.parametrize("atoms", [None, 6])
@pytest.mark.parametrize("most", [4000, 37])
def test_a_pool_serves_one_composition_after_the_other(atoms, most):
    """Crystal for crystal as what tries all elements on one set of positions after the other, each set once."""
    drawn = WyckoffSequences.concatenate([SEQUENCES.select(torch.arange(30)), SEQUENCES])
    pool = Pool(drawn)
    total = 0
    for formula_unit in ({8: 2, 22: 1}, {8: 1, 11: 1}, {26: 1}):
        composition = Composition(formula_unit, atoms)
        expected, seen = [], set()
        for row, count in enumerate(drawn.count.tolist()):
            positions = tuple(drawn.wyckoff[row, :count].tolist())
            size = TABLE.multiplicity[list(positions)].tolist()
            cell = sum(size) // lattice_points(int(drawn.space_group[row]))
            if positions in seen or (atoms and cell != atoms):
                continue
            seen.add(positions)
            expected += [(row, elements) for elements in fillings(positions, size, composition.formula_unit)]
        found = with_composition(pool, composition, most)
        assert len(found) == min(len(expected), most)
        total += len(found)
        for at, (row, elements) in enumerate(expected[:most]):
            assert found.space_group[at] == drawn.space_group[row]
            assert torch.equal(found.wyckoff[at], drawn.wyckoff[row])
            assert found.element[at].tolist() == [*elements, *[0] * (drawn.wyckoff.shape[1] - len(elements))]
    assert total > 50 if atoms is None else total > 5


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_elements_change_places_on_two_positions_and_not_on_one(order):
    """Two orbits of two atoms each: twice position i of P-1, or i and j of P2/m."""
    start = TABLE.start
    assert TABLE.letter[[start[1] + 8, start[9] + 8, start[9] + 9]].tolist() == ["i", "i", "j"]
    rows = torch.tensor([[start[1] + 8, start[1] + 8], [start[9] + 8, start[9] + 9]])
    drawn = WyckoffSequences(torch.tensor([2, 10]), torch.tensor([2, 2]), rows, torch.zeros_like(rows))
    found = with_composition(Pool(drawn.select(torch.tensor(order))), Composition({8: 1, 38: 1}))
    of_each = {2: [[8, 38]], 10: [[8, 38], [38, 8]]}
    groups = [(2, 10)[which] for which in order]
    assert found.space_group.tolist() == [group for group in groups for _ in of_each[group]]
    assert found.element.tolist() == [elements for group in groups for elements in of_each[group]]


def test_atoms_of_the_primitive_cell_are_heeded():
    for atoms in (2, 4):
        crystals = with_composition(Pool(SEQUENCES), Composition({8: 1, 38: 1}, atoms))
        for group, count, rows in zip(crystals.space_group.tolist(), crystals.count, crystals.wyckoff, strict=True):
            assert TABLE.multiplicity[rows[:count].numpy()].sum() == atoms * lattice_points(group)
    assert not len(with_composition(Pool(SEQUENCES), Composition({8: 97, 38: 1})))


@pytest.mark.parametrize("group", [None, 62])
def test_predicted_crystals_are_of_the_composition(staged: Generator, group):
    candidates = staged.predict({8: 2, 22: 1}, 6, group, pool=300, steps=3)
    assert 1 <= len(candidates) <= 6
    logs = [candidate.log_probability for candidate in candidates]
    assert logs == sorted(logs, reverse=True)
    for candidate in candidates:
        assert group in (None, candidate.unit.space_group)
        assert replicate(candidate.unit).composition.reduced_formula == "TiO2"
    fewer = staged.predict({8: 2, 22: 1}, 2, group, pool=300, steps=3)
    for a, b in zip(candidates, fewer, strict=False):
        assert a.unit.letter == b.unit.letter
        assert a.log_probability == b.log_probability
        assert abs((a.unit.position - b.unit.position + 0.5) % 1 - 0.5).max() < 1e-3


@pytest.mark.parametrize(
    ("composition", "options", "message"),
    [
        ({8: 2, 22: 1}, {"atoms": 4}, "not a multiple"),
        ({8: 0}, {}, "at least 1"),
        ({}, {}, "at least 1"),
        ({86: 1}, {}, "not in the training set"),
        ({8: 1}, {"number": 0}, "at least 1"),
        ({8: 1}, {"space_group": 231}, "231"),
        ({8: 97, 22: 89}, {}, "186 atoms: more than the 162"),
        ({8: 31, 22: 29}, {}, "no known set of Wyckoff positions fits"),
    ],
)
def test_what_cannot_be_predicted_is_refused(staged: Generator, composition, options, message):
    with pytest.raises(InputError, match=message):
        staged.predict(composition, **{"pool": 20, **options})
