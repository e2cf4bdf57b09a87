"""Positions and elements drawn without geometries: the crystals of `generate`, in any choice and any batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.drafts import Drafts
from symmcd.crystallography.lattice import free_coefficients
from symmcd.diffusion.checkpoint import write_checkpoint
from symmcd.diffusion.data_statistics import DataStatistics
from symmcd.diffusion.denoiser import Denoiser
from symmcd.diffusion.generator import Generator
from symmcd.diffusion.pretrained import load_pretrained
from symmcd.diffusion.prior import log_prior
from symmcd.diffusion.staged.likelihood import log_probabilities
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences
from symmcd.errors import InputError
from symmcd.stability.hull import ConvexHull, HullEntry
from symmcd.stability_model.features import FEATURES, features
from tests.diffusion.crystals import SMALL, random_units

QUICK = {"steps": 2, "proposals": 2}


@pytest.fixture(scope="module")
def shipped() -> Generator:
    return load_pretrained("mp20", device="cpu")


def bits(units):
    return [
        (unit.space_group, unit.letter, unit.element.tobytes(), unit.position.tobytes(), unit.lattice.tobytes())
        for unit in units
    ]


def described(drafts: Drafts):
    return list(zip(drafts.space_group.tolist(), drafts.letters, drafts.elements, strict=True))


@pytest.mark.parametrize("constraints", [{}, {"space_group": "Pnma"}, {"elements": "Li,Fe,O", "max_atoms": 12}])
def test_drafts_with_geometries_are_the_generated_crystals(shipped, constraints):
    number = 40 if "elements" not in constraints else 4
    drafts = shipped.draft(number, seed=3, **constraints)
    generated = shipped.generate(number, seed=3, **QUICK, **constraints)
    assert bits(shipped.with_geometries(drafts, **QUICK)) == bits(generated)
    assert drafts.formula == [unit.formula for unit in generated]
    assert drafts.atoms.tolist() == [unit.primitive_atoms for unit in generated]
    assert drafts.orbits.tolist() == [len(unit.element) for unit in generated]


def test_the_first_drafts_are_as_large_as_the_others(shipped):
    drafts = shipped.draft(400, seed=1)
    assert drafts.number.tolist() == list(range(400))
    first, rest = drafts.orbits[:100], drafts.orbits[100:]
    error = np.sqrt(first.var() / len(first) + rest.var() / len(rest))
    assert abs(first.mean() - rest.mean()) < 3 * error  # sorted by size the difference is ten times that
    assert described(shipped.draft(30, seed=1)) == described(drafts)[:30]
    assert described(shipped.draft(30, seed=2)) != described(drafts)[:30]


def test_some_numbers_are_the_drafts_of_these_numbers(shipped):
    drafts = shipped.draft(60, seed=1)
    some = shipped.draft([50, 7, 31], seed=1)
    assert some.number.tolist() == [7, 31, 50]
    assert described(some) == described(drafts.take([7, 31, 50]))
    constrained = {"max_atoms": 6}
    assert described(shipped.draft([2, 5], **constrained)) == described(shipped.draft(6, **constrained).take([2, 5]))


def test_a_draft_has_one_geometry_whatever_is_chosen_with_it(shipped):
    if str(shipped._model.precision) != "torch.float32":
        pytest.skip("this processor multiplies bfloat16, whose rounding depends on the batch")
    drafts = shipped.draft(30, seed=4)
    whole = bits(shipped.with_geometries(drafts, **QUICK))
    rows = [29, 3, 17, 4, 0]
    chosen = bits(shipped.with_geometries(drafts.take(rows), batch_size=2, **QUICK))
    assert chosen == [whole[row] for row in rows]
    other = Drafts.concatenate([drafts.take([3]), drafts.take([17])])
    assert bits(shipped.with_geometries(other, **QUICK)) == [whole[3], whole[17]]


def test_batches_come_by_size_and_name_rows(staged):
    drafts = staged.draft(30, seed=4).take(range(29, -1, -2))
    batches, done = [], []
    watched = {"on_batch": batches.append, "on_progress": lambda *told: done.append(told[0])}
    units = staged.with_geometries(drafts, steps=2, batch_size=4, **watched)
    rows = np.concatenate([batch.number for batch in batches])
    assert sorted(rows.tolist()) == list(range(15))
    assert (np.diff(drafts.orbits[rows]) >= 0).all()
    for batch in batches:
        assert bits(batch.units) == bits(units[row] for row in batch.number)
    assert done[-1] == 15
    assert [unit.letter for unit in units] == drafts.letters
    assert staged.with_geometries(drafts.take([])) == []


@pytest.mark.parametrize(
    "asked", [{}, {"temperature": 1.5}, {"space_group": 62}, {"elements": [8, 26, 11]}, {"max_atoms": 30}]
)
def test_log_probabilities_are_those_of_the_free_model(staged, asked):
    """One pass over whole crystals says the same as the places one by one, whatever they were drawn under."""
    drafts = staged.draft(40, seed=2, **asked)
    sequences = WyckoffSequences.from_units(drafts)
    network = log_probabilities(staged._model.wyckoff, sequences).sum(dim=(1, 2)).double()
    statistics = staged.checkpoint.statistics
    in_data = statistics.space_group_count[drafts.space_group - 1] > 0
    prior = log_prior(statistics).double()[drafts.space_group - 1, drafts.orbits]
    expected = (network + prior).numpy()[in_data.numpy()]
    np.testing.assert_allclose(drafts.log_probability[in_data.numpy()], expected, atol=1e-4)
    assert np.isfinite(drafts.log_probability).all()  # a group without training crystals too


def test_log_probabilities_are_those_of_predict(shipped):
    """Of the candidates of a draft's own composition, one is the draft and as likely."""
    drafts = shipped.draft(60, seed=5)
    row = int(np.flatnonzero(drafts.atoms <= 6)[0])
    candidates = shipped.predict(drafts.formula[row], 200, atoms=int(drafts.atoms[row]), pool=400, **QUICK)
    group, letters, elements = described(drafts)[row]
    same = [c for c in candidates if (c.unit.space_group, c.unit.letter) == (group, letters)]
    log_probability = [c.log_probability for c in same if tuple(c.unit.element.tolist()) == elements]
    assert log_probability == [pytest.approx(drafts.log_probability[row], abs=1e-3)]


def test_constrained_drafts_do_not_depend_on_how_many_are_proposed_at_once(staged, monkeypatch):
    asked = {"elements": [8, 26, 57], "max_atoms": 40}
    together = staged.draft(30, seed=2, **asked)
    monkeypatch.setattr("symmcd.diffusion.drafting.AT_ONCE", 7)
    apart = staged.draft(30, seed=2, **asked)
    assert described(apart) == described(together)
    np.testing.assert_allclose(apart.log_probability, together.log_probability, atol=1e-4)


def test_drafts_of_another_seed_are_not_put_together(staged):
    with pytest.raises(InputError, match=r"seeds \[0, 1\]"):
        Drafts.concatenate([staged.draft(2, seed=0), staged.draft(2, seed=1)])
    with pytest.raises(InputError, match="at least one"):
        Drafts.concatenate([])


@pytest.mark.parametrize("number", [0, -1, 2.5, "5", None, [], [1, 1], [-1], [0.5], [[1]], True])
def test_words_for_no_number_of_drafts(staged, number):
    with pytest.raises(InputError, match=r"number = .*whole number"):
        staged.draft(number)


def test_words_for_models_and_requests_that_have_no_drafts(staged, tmp_path):
    path, statistics = tmp_path / "joint.safetensors", DataStatistics.of(random_units(20)).tensors()
    write_checkpoint(path, Denoiser(SMALL).state_dict(), statistics, SMALL, {})
    with pytest.raises(InputError, match="use a model of kind 'staged'"):
        Generator.load(path, "cpu").draft(2)
    with pytest.raises(InputError, match="no such element"):
        staged.draft(2, elements=["Xx"])
    with pytest.raises(InputError, match="reverse steps"):
        staged.with_geometries(staged.draft(2), steps=2000)


def test_drafts_have_the_features_of_their_crystals(staged):
    drafts = staged.draft(20, seed=1)
    units = AsymmetricUnits.from_units(staged.with_geometries(drafts, steps=1, proposals=1))
    hull = ConvexHull([HullEntry(symbol, 0.0, "elemental_reference", "test") for symbol in ("O", "Na", "Ti", "Fe")])
    found = features(drafts, drafts.log_probability, hull)
    np.testing.assert_array_equal(found, features(units, drafts.log_probability, hull))
    free = free_coefficients()[drafts.space_group - 1].sum(axis=1)
    assert found[:, FEATURES.index("free_lattice")].tolist() == free.tolist()


def test_drafts_live_on_no_device(staged):
    drafts = staged.draft(3)
    assert not any(isinstance(value, torch.Tensor) for value in vars(drafts).values())
