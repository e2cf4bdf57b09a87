"""Choosing drafts: laws that hold whatever the model says, and what the distribution is."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stability_model.labelled import HULL, constant_model, renumbered, some_drafts, split_model

from symmcd.crystallography import content
from symmcd.crystallography.composition import NUMBERS
from symmcd.errors import InputError
from symmcd.stability.hull import ConvexHull, HullEntry
from symmcd.stability_model import choosing
from symmcd.stability_model.chemistry import CHEMISTRIES, chemistry, has_lanthanides
from symmcd.stability_model.choosing import FEW_ENTRIES, FEWEST_ENTRIES, REWARDED, best, choose, guards, quotas, strata
from symmcd.stability_model.features import entries_in
from symmcd.stability_model.materials import fingerprint

SALT = np.array([3, 11, 19, 12, 8, 9])  # Li, Na, K, Mg, O, F: many compositions of which are valid
RICH = ConvexHull(  # at least 12 entries in every system of two of them
    [HullEntry(symbol, 0.0, "elemental_reference", "test") for symbol in ["Li", "Na", "K", "Mg", "O", "F"]]
    + [
        HullEntry(f"{first}{n}{second}", -1.0, "formation_energy", "test")
        for first in ["Li", "Na", "K", "Mg", "O", "F"]
        for second in ["Li", "Na", "K", "Mg", "O", "F"]
        for n in range(1, 15)
        if first < second
    ]
)
DRAFTS = some_drafts(240, 4, SALT)
PASS = np.flatnonzero(guards(DRAFTS) == 0)
MODEL = split_model("log_probability", -10, 0.3, 0.0)


def chosen(drafts, number, model=MODEL, hull=RICH, **options):
    return choose(drafts, number, model, hull, **options)


def test_there_is_something_to_choose_from():
    assert 60 < len(PASS) < 230
    assert len(set(strata(DRAFTS, np.full(len(DRAFTS), 14)).tolist())) > 5


def test_of_as_many_drafts_as_crystals_all_are_taken_as_they_are():
    found = chosen(DRAFTS, len(DRAFTS))
    assert found.index.tolist() == list(range(240)), "guards or none"
    assert found.left_out == {}


def test_strata_keep_their_shares():
    """Those of all drafts, whether they pass the guards or not."""
    found = chosen(DRAFTS, 14)
    stratum = strata(DRAFTS, entries_in(content.amounts(DRAFTS), RICH), 2 * 240 // 14)
    room = np.bincount(stratum[PASS], minlength=stratum.max() + 1)
    before, after = (np.bincount(rows, minlength=len(room)) for rows in (stratum, stratum[found.index]))
    wanted = 14 * before / len(DRAFTS)
    assert (after <= room).all()
    left = after < room
    assert left.sum() >= 2
    assert (after[left] > wanted[left] - 1).all(), "only what others lack is given in excess"
    excess = (wanted - room).clip(0).sum()
    assert (after[left] < wanted[left] + 1 + excess).all()
    assert sum(found.left_out.values()) == 240 - len(PASS)


def test_materials_that_are_known_are_left_out():
    known = {fingerprint(name) for name in DRAFTS.take(PASS[:20]).arrangement}
    found = chosen(DRAFTS, 30, known=known)
    assert found.left_out["known"] >= 20
    assert not known & {fingerprint(name) for name in DRAFTS.take(found.index).arrangement}


def test_lower_energies_are_chosen_within_a_stratum():
    found, all_of_them = chosen(DRAFTS, 20), MODEL.of(DRAFTS.take(PASS), RICH).energy
    assert found.energy.mean() < all_of_them.mean() - 0.05


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10**6))
def test_the_order_of_drafts_means_nothing(seed):
    order = np.random.default_rng(seed).permutation(len(DRAFTS))
    first, second = chosen(DRAFTS, 40), chosen(DRAFTS.take(order), 40)
    assert DRAFTS.number[first.index].tolist() == sorted(DRAFTS.take(order).number[second.index].tolist())


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10**6))
def test_numbers_tell_ties_apart_and_nothing_else(seed):
    """Of drafts that are numbered otherwise, the same scores are chosen."""
    number = np.random.default_rng(seed).permutation(len(DRAFTS))
    first, second = chosen(DRAFTS, 40), chosen(renumbered(DRAFTS, number), 40)
    assert sorted(first.energy.tolist()) == pytest.approx(sorted(second.energy.tolist()))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6))
def test_a_rank_depends_on_its_stratum_alone(seed):
    """Other energies in the other strata choose the same drafts of this one."""
    rng = np.random.default_rng(seed)
    stratum, energy = rng.integers(0, 4, 60), rng.random(60)
    formula, names = [f"A{n}" for n in rng.integers(0, 20, 60)], np.arange(60)
    nowhere = np.zeros(60, bool)
    other = np.where(stratum == 2, energy, rng.random(60))
    wanted = quotas(np.bincount(stratum), 20)
    first = best(energy, stratum, nowhere, formula, names, wanted)
    second = best(other, stratum, nowhere, formula, names, wanted)
    assert [row for row in first if stratum[row] == 2] == [row for row in second if stratum[row] == 2]


def test_a_constant_prediction_chooses_the_first_of_each_stratum():
    rng = np.random.default_rng(0)
    stratum, names = rng.integers(0, 3, 30), rng.permutation(30)
    formula = [f"A{n}" for n in range(30)]
    rows = best(np.full(30, 0.2), stratum, np.zeros(30, bool), formula, names, quotas(np.bincount(stratum), 12))
    for name in range(3):
        of_it = sorted(names[stratum == name])
        taken = sorted(names[rows][stratum[rows] == name])
        assert taken == of_it[: len(taken)]
    assert names[rows].tolist() == sorted(names[rows].tolist())


def test_nothing_is_gained_below_a_tenth():
    energy, nowhere = np.array([0.0, REWARDED, REWARDED - 0.2, REWARDED - 5.0]), np.zeros(4, bool)
    rows = best(energy, np.zeros(4, int), nowhere, list("ABCD"), np.arange(4), np.array([2]))
    assert rows.tolist() == [1, 2], "the first of equal ones"


def test_repeated_compositions_cost():
    energy, nowhere = np.array([0.0, 0.01, 0.02, 0.04, 0.08]), np.zeros(5, bool)
    rows = best(energy, np.zeros(5, int), nowhere, ["A", "A", "A", "B", "C"], np.arange(5), np.array([3]))
    assert rows.tolist() == [0, 1, 3], "0, 0.01 + 0.05, 0.02 + 0.1, 0.04, 0.08"


def test_strata_hold_enough_to_choose_from():
    """Fewer than a quarter are as good at random: strata of one or two would leave nothing to choose."""
    entries = entries_in(content.amounts(DRAFTS), RICH)
    for least in (1, 10, 40, 1000):
        stratum = strata(DRAFTS, entries, least)
        size = np.bincount(stratum)
        few = entries < FEWEST_ENTRIES
        for kind in (few, ~few):
            assert (size[np.unique(stratum[kind])] >= min(least, kind.sum())).all()
        assert sorted(set(stratum.tolist())) == list(range(len(size)))
    mixed = strata(DRAFTS, np.arange(len(DRAFTS)) % 2 * 14, 1000)
    assert mixed.tolist() == (1 - np.arange(len(DRAFTS)) % 2).tolist(), "but those it abstains for stay apart"
    rng, places = np.random.default_rng(3), []
    for _ in range(20):
        energy = rng.permutation(len(DRAFTS)) / len(DRAFTS)
        stratum = strata(DRAFTS, entries, 2 * 20)
        names = [f"A{n}" for n in range(len(DRAFTS))]
        wanted = quotas(np.bincount(stratum), len(DRAFTS) // 20)
        places.append(energy[best(energy, stratum, np.zeros(len(DRAFTS), bool), names, DRAFTS.number, wanted)].mean())
    assert np.mean(places) < 0.05, "one in 20, at random 0.5, at best 0.025"


def test_a_part_of_the_chosen_is_drawn_at_random():
    whole = chosen(DRAFTS, 30)
    parts = [whole.part(5, seed) for seed in range(200)]
    assert all(set(part.index.tolist()) <= set(whole.index.tolist()) and len(part.index) == 5 for part in parts)
    often = Counter(row for part in parts for row in part.index.tolist())
    assert max(often.values()) < 2 * min(often.values())
    assert whole.part(30, 0) is whole
    assert "chose 30 of 240 drafts, and took 5 of them at random" in parts[0].sentence()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=8).filter(any))
def test_on_average_each_stratum_gets_its_exact_share(sizes):
    size = np.array(sizes)
    for number in {1, max(1, size.sum() // 3)}:
        found = [quotas(size, number, offset=(k + 0.5) / 400) for k in range(400)]
        np.testing.assert_allclose(np.mean(found, axis=0), number * size / size.sum(), atol=0.02)


def test_systems_that_are_hardly_known_keep_their_share():
    """Those of few entries are strata of their own, whatever is predicted for them."""
    entries = np.random.default_rng(1).integers(0, 20, len(PASS))
    rest, few = DRAFTS.take(PASS), entries < FEW_ENTRIES
    stratum = strata(rest, entries)
    for energy in (np.where(few, 0.0, 0.5), np.where(few, 0.5, 0.0)):
        rows = best(
            energy, stratum, entries < FEWEST_ENTRIES, rest.formula, rest.number, quotas(np.bincount(stratum), 60)
        )
        # classes of chemistry and lanthanides are kept to less than one crystal each, and these within them
        assert few[rows].sum() == pytest.approx(60 * few.mean(), abs=6)
    assert len(set(stratum[few].tolist()) & set(stratum[~few].tolist())) == 0


def test_where_the_hull_is_sparse_it_abstains():
    found = chosen(DRAFTS, 40, hull=HULL)  # of LiO alone there are entries
    assert len(PASS) / 3 < found.abstained < len(PASS)
    blind = chosen(DRAFTS, 40, constant_model(), hull=HULL)
    judged = ~np.isnan(found.energy)
    assert found.index[~judged].tolist() == blind.index[np.isnan(blind.energy)].tolist()
    assert np.isnan(found.energy).sum() == pytest.approx(40 * found.abstained / len(PASS), abs=6)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=12), st.floats(0.01, 1))
def test_quotas_are_shares(sizes, share):
    size = np.array(sizes)
    number = max(1, int(share * size.sum()))
    found = quotas(size, number)
    assert found.sum() == number
    assert (found <= size).all()
    assert (np.abs(found - number * size / size.sum()) < 1 + 1e-9).all()
    wanted = number * np.cumsum(size) / size.sum()
    assert (np.abs(np.cumsum(found) - wanted) <= 0.5 + 1e-9).all(), "nor are neighbours all rounded one way"
    other = quotas(size, number, offset=0.9)
    assert other.sum() == number
    assert (np.abs(other - number * size / size.sum()) < 1 + 1e-9).all()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=12), st.floats(0, 1))
def test_what_has_no_room_goes_to_the_others(strata_of, share):
    size, room = np.array([[max(pair), min(pair)] for pair in strata_of]).T
    number = int(share * room.sum())
    found = quotas(size, number, room)
    assert found.sum() == number
    assert (found <= room).all()
    lacking = found < room
    if lacking.any() and size.sum():  # nobody who has room gets less than without the others' being full
        assert (found[lacking] >= np.floor(number * size[lacking] / size.sum()) - 1).all()


def test_small_strata_are_not_lost():
    assert quotas(np.array([100, *[4] * 25]), 20).tolist()[1:].count(1) == 10


def compositions(formulas: list[dict[str, int]]) -> np.ndarray:
    counts = np.zeros((len(formulas), 119), int)
    for row, formula in zip(counts, formulas, strict=True):
        for symbol, amount in formula.items():
            row[NUMBERS[symbol]] = amount
    return counts


def test_classes_of_chemistry():
    counts = compositions(
        [{"Li": 1, "O": 1, "F": 1}, {"Na": 1, "Cl": 1}, {"Cu": 2, "S": 1, "P": 1}, {"Ga": 1, "As": 1},
         {"Ti": 1, "C": 1}, {"Ni": 3, "Al": 1}, {"Ce": 1, "O": 2}, {"Sc": 1, "Si": 1}]
    )  # fmt: skip
    names = [CHEMISTRIES[index] for index in chemistry(counts)]
    assert names == [*CHEMISTRIES, "oxides", "intermetallics"]
    assert has_lanthanides(counts).tolist() == [False] * 6 + [True, False]


def test_guards():
    from symmcd.metrics.validity import composition_verdict

    drafts = some_drafts(120, 9, np.array([8, 43, 11, 17]))
    fails, counts = guards(drafts), content.amounts(drafts)
    several, radioactive = (counts > 0).sum(axis=1) >= 2, counts[:, 43] > 0
    assert (fails[~several] == 1).all()
    assert (fails[several & radioactive] == 2).all()
    asked = guards(drafts, asked=[43])
    assert not (asked == 2).any()
    valid = np.array([composition_verdict(formula, 10.0) == "valid" for formula in drafts.formula])
    np.testing.assert_array_equal(asked == 0, several & valid)
    passing = np.flatnonzero(asked == 0)
    known = [fingerprint(name) for name in drafts.take(passing[:1]).arrangement]
    assert guards(drafts, [43], known)[passing[0]] == 4


def test_too_few_that_pass_are_refused_with_the_reasons():
    with pytest.raises(InputError, match="fewer than two elements"):
        chosen(some_drafts(20, 0, np.array([8])), 5)
    with pytest.raises(InputError, match="at least as many drafts"):
        chosen(DRAFTS, 241)
    assert choosing.GUARDS
