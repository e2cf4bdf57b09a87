"""The distribution over Wyckoff positions and elements is one, is causal, and has no illegal crystal in it."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math

import numpy as np
import pytest
import torch

from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.diffusion.constraints.chemical_system import ChemicalSystem
from symmcd.diffusion.constraints.constraint import Constraint
from symmcd.diffusion.constraints.elements import Elements
from symmcd.diffusion.constraints.exclude import Exclude
from symmcd.diffusion.constraints.max_atoms import MaxAtoms
from symmcd.diffusion.random_streams import CrystalStreams
from symmcd.diffusion.sampler import Sampler
from symmcd.diffusion.staged.drawing import draw_sequences, resampled
from symmcd.diffusion.staged.objectives import WyckoffObjective, negative_log_likelihood
from symmcd.diffusion.staged.symmetry_tables import symmetry_tables
from symmcd.diffusion.staged.wyckoff_network import WyckoffNetwork
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences, reduced_multiplicity
from symmcd.errors import InputError
from tests.diffusion.crystals import SMALL_STAGED, random_units
from tests.diffusion.distinct_elements import DistinctElements

UNITS = random_units(60, seed=2)
TABLE = wyckoff_table()


@pytest.fixture(scope="module")
def network() -> WyckoffNetwork:
    torch.manual_seed(0)
    made = WyckoffNetwork(SMALL_STAGED)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    made.seen.fill_(value=False)
    made.seen[[7, 10, 21, 25, 37, 56]] = True
    return made.eval()


def nll(network: WyckoffNetwork, sequences: WyckoffSequences) -> float:
    with torch.no_grad():
        return float(negative_log_likelihood(network, sequences).sum())


@pytest.mark.parametrize("group", [1, 2, 47, 216])
def test_probabilities_of_all_legal_crystals_add_up_to_one(network, group):
    two = dataclasses.replace(SMALL_STAGED)
    torch.manual_seed(1)
    small = WyckoffNetwork(two).eval()
    small.load_state_dict(network.state_dict())
    small.seen.fill_(value=False)
    small.seen[[7, 21]] = True
    rows = range(int(TABLE.start[group - 1]), int(TABLE.start[group]))
    wyckoff, element = [], []
    for pair in itertools.combinations_with_replacement(rows, 2):
        if pair[0] == pair[1] and TABLE.degrees_of_freedom[pair[0]] == 0:
            continue
        for elements in itertools.product((8, 22), repeat=2):
            if pair[0] < pair[1] or elements[0] <= elements[1]:
                wyckoff.append(pair)
                element.append(elements)
    number = len(wyckoff)
    every = WyckoffSequences(
        torch.full((number,), group), torch.full((number,), 2), torch.tensor(wyckoff), torch.tensor(element)
    )
    total = sum(math.exp(-nll(small, every.select(torch.tensor([i])))) for i in range(number))
    assert total == pytest.approx(1, abs=1e-4)


def test_sequences_are_sorted_and_padding_changes_nothing(network):
    sequences = WyckoffSequences.from_units(UNITS)
    for index in range(len(UNITS)):
        unit = slice(UNITS.start[index], UNITS.start[index + 1])
        expected = sorted(zip(UNITS.wyckoff[unit].tolist(), UNITS.element[unit].tolist(), strict=True))
        count = int(sequences.count[index])
        found = zip(sequences.wyckoff[index, :count].tolist(), sequences.element[index, :count].tolist(), strict=True)
        assert list(found) == expected
    alone = sum(nll(network, sequences.select(torch.tensor([i]), int(sequences.count[i]))) for i in range(10))
    together = nll(network, sequences.select(torch.arange(10)))
    assert together == pytest.approx(alone, rel=1e-4)


def test_what_comes_later_is_not_seen(network):
    sequences = WyckoffSequences.from_units(random_units(20, seed=4, groups=(14, 62), largest=6))
    with torch.no_grad():
        before = network(sequences)
        changed = dataclasses.replace(sequences, wyckoff=sequences.wyckoff.clone(), element=sequences.element.clone())
        place = 2
        changed.wyckoff[:, place:] = torch.tensor(TABLE.start)[sequences.space_group[:, None] - 1]
        changed.element[:, place:] = 57
        after = network(changed)
        torch.testing.assert_close(after.wyckoff[:, : place + 1], before.wyckoff[:, : place + 1])
        later = dataclasses.replace(sequences, element=sequences.element.clone())
        later.element[:, place:] = 57
        torch.testing.assert_close(network(later).element[:, : place + 1], before.element[:, : place + 1])
        assert not torch.allclose(network(later).element[:, place + 1 :], before.element[:, place + 1 :])


def test_drawn_crystals_are_legal_and_follow_the_likelihood(network):
    group = torch.tensor([2, 62, 225, 47] * 50)
    orbits = torch.randint(1, 12, (200,), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        drawn, weight, _ = draw_sequences(network, group, orbits, 12, CrystalStreams(3, torch.arange(200)), Sampler())
        few = network, group[:9], orbits[:9], 16, CrystalStreams(3, torch.arange(9))
        again = draw_sequences(*few, Sampler()).sequences
    assert not weight.any()
    assert torch.equal(again.wyckoff[:, :12], drawn.wyckoff[:9])
    assert torch.equal(again.element[:, :12], drawn.element[:9])
    for g, n, rows, elements in zip(group, orbits, drawn.wyckoff.numpy(), drawn.element.numpy(), strict=True):
        rows, elements = rows[:n], elements[:n]  # noqa: PLW2901
        assert (np.diff(rows) >= 0).all()
        assert ((rows >= TABLE.start[g - 1]) & (rows < TABLE.start[g])).all()
        same = np.diff(rows) == 0
        assert (TABLE.degrees_of_freedom[rows[1:][same]] > 0).all()
        assert (np.diff(elements)[same] >= 0).all()
        assert set(elements) <= {8, 11, 22, 26, 38, 57}
    assert math.isfinite(nll(network, drawn))
    # frequencies of the first position of group 2, one orbit, against its probabilities
    many = torch.full((4000,), 2), torch.ones(4000, dtype=torch.int64)
    with torch.inference_mode():
        first = draw_sequences(network, *many, 1, CrystalStreams(5, torch.arange(4000)), Sampler())[0].wyckoff[:, 0]
        one = WyckoffSequences(many[0][:1], many[1][:1], first[:1, None] * 0, first[:1, None] * 0)
        expected = torch.softmax(network(one).wyckoff[0, 0], dim=-1)
    count = torch.bincount(first - int(TABLE.start[1]), minlength=len(expected))[: len(expected)]
    torch.testing.assert_close(count / 4000, expected, atol=0.03, rtol=0)


def test_place_by_place_a_network_says_what_it_says_at_once(network):
    sequences = WyckoffSequences.from_units(random_units(40, seed=6))
    whole, memory = network(sequences), network.begin()
    longest, mask = sequences.wyckoff.shape[1], sequences.mask
    begun = dataclasses.replace(
        sequences, wyckoff=torch.zeros_like(sequences.wyckoff), element=torch.zeros_like(sequences.element)
    )
    for place in range(longest):
        found = network.next_position(begun, place, memory)
        torch.testing.assert_close(found[mask[:, place]], whole.wyckoff[mask[:, place], place])
        begun.wyckoff[:, place] = sequences.wyckoff[:, place]
    for place in range(longest):
        found = network.next_element(begun, place, memory)
        torch.testing.assert_close(found[mask[:, place]], whole.element[mask[:, place], place])
        begun.element[:, place] = sequences.element[:, place]


class NoGeneralPosition(Constraint):
    """No orbit on the last position of its group."""

    def allowed_positions(self, drawn, place, rows):  # noqa: ARG002
        return rows < symmetry_tables().group_start[drawn.space_group][:, None] - 1


def elements_all_of(numbers: tuple[int, ...], crystals: WyckoffSequences) -> torch.Tensor:
    return torch.isin(crystals.element, torch.tensor((0, *numbers))).all(dim=1)


def elements_each_of(numbers: tuple[int, ...], crystals: WyckoffSequences) -> torch.Tensor:
    each = [(crystals.element == number).any(dim=1) for number in numbers]
    return torch.stack([elements_all_of(numbers, crystals), *each]).all(dim=0)


def positions_special(crystals: WyckoffSequences) -> torch.Tensor:
    general = symmetry_tables().group_start[crystals.space_group] - 1
    return ((crystals.wyckoff != general[:, None]) | ~crystals.mask).all(dim=1)


@pytest.mark.parametrize(
    ("constraints", "wanted", "shifted"),
    [
        ([Elements((8, 22, 26))], functools.partial(elements_all_of, (8, 22, 26)), 0.2),
        ([ChemicalSystem((8, 26))], functools.partial(elements_each_of, (8, 26)), 0),
        ([Elements((8, 22, 26)), Exclude((22,)), MaxAtoms(8)],
         lambda s: elements_all_of((8, 26), s) & (s.primitive_atoms <= 8), 0),
        ([NoGeneralPosition()], positions_special, 0.1),
    ],
)  # fmt: skip
def test_constrained_crystals_follow_the_model_given_the_constraints(constraints, wanted, shifted):
    """Against drawing freely and keeping the crystals that fulfil them; without weights shares differ by `shifted`."""
    torch.manual_seed(4)
    network = WyckoffNetwork(SMALL_STAGED).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    network.seen.fill_(value=False)
    network.seen[[7, 10, 21, 25, 37, 56]] = True
    number = 24_000
    group = torch.tensor([2, 62, 225, 47]).repeat(number // 4)
    orbits = 1 + torch.arange(number) // 4 % 3
    streams = CrystalStreams(1, torch.arange(number))
    with torch.inference_mode():
        free = draw_sequences(network, group, orbits, 3, streams, Sampler()).sequences
        proposed, weight, _ = draw_sequences(
            network, group, orbits, 3, streams, Sampler(constraints=tuple(constraints))
        )
    pools = torch.randperm(number, generator=torch.Generator().manual_seed(2)).view(-1, 40)
    kept = resampled(weight[pools], CrystalStreams(2, torch.arange(len(pools))).uniform(0))
    drawn = proposed.select(pools[torch.arange(len(kept)), kept][kept >= 0])
    truth = free.select(wanted(free).nonzero()[:, 0])
    assert wanted(drawn).all()
    assert len(truth) > 200
    for name, few in (("count", 4), ("space_group", 231)):
        found, expected = (torch.bincount(getattr(s, name), minlength=few) / len(s) for s in (drawn, truth))
        torch.testing.assert_close(found, expected, atol=0.09, rtol=0)
    unweighted = torch.bincount(proposed.count, minlength=4) / number
    assert (unweighted - torch.bincount(truth.count, minlength=4) / len(truth)).abs().max() > shifted


def test_a_place_with_nothing_allowed_ends_in_a_crystal_that_is_not_kept():
    torch.manual_seed(4)
    network = WyckoffNetwork(SMALL_STAGED).eval()
    group, orbits = torch.full((50,), 2), torch.tensor([1, 2, 3, 4, 5]).repeat(10)
    sampler = Sampler(constraints=(Elements((8, 26)), DistinctElements()))
    with torch.inference_mode():
        drawn, weight, _ = draw_sequences(network, group, orbits, 5, CrystalStreams(1, torch.arange(50)), sampler)
    assert (weight[orbits > 2] == -torch.inf).all()
    assert (weight[orbits <= 2] > -torch.inf).any()
    legal = torch.tensor([0, *range(1, 119)])
    assert torch.isin(drawn.element, legal).all()


def test_no_proposal_that_may_be_kept():
    weight = torch.tensor([[-torch.inf, -torch.inf], [-torch.inf, -500.0]])
    assert resampled(weight, torch.tensor([0.3, 0.3])).tolist() == [-1, 1]


def test_reduced_multiplicities():
    sequences = WyckoffSequences.from_units(UNITS)
    found = reduced_multiplicity(sequences)
    for index in range(len(UNITS)):
        count = int(sequences.count[index])
        multiplicity = TABLE.multiplicity[sequences.wyckoff[index, :count].numpy()]
        assert found[index, :count].tolist() == (multiplicity // np.gcd.reduce(multiplicity)).tolist()


def test_two_orbits_on_one_point_are_refused():
    units = random_units(3, groups=(225,), largest=2)
    bad = np.flatnonzero(np.diff(units.start) == 2)[0]
    units.wyckoff[units.start[bad] : units.start[bad] + 2] = TABLE.row(225, "a")
    with pytest.raises(InputError, match=rf"crystal {units.label[bad]}: two orbits on position a"):
        WyckoffSequences.from_units(units)


def test_shares_of_a_batch_add_up(network):
    objective = WyckoffObjective(SMALL_STAGED, UNITS, UNITS, torch.device("cpu"))
    rows = torch.arange(60)
    whole = objective.losses(network, rows, 1, backward=False)
    parts = [objective.losses(network, rows, 1, backward=False, share=share) for share in rows.split(17)]
    for name, value in whole.items():
        assert sum(part[name] for part in parts) == pytest.approx(value, rel=1e-5)
