"""Stability models: the trees are LightGBM's, a file says what was written or is refused, labels are predicted."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stability_model.labelled import HULL, constant_model, some_drafts, some_labels

from symmcd.errors import InputError
from symmcd.stability_model import fitting
from symmcd.stability_model.features import FEATURES
from symmcd.stability_model.fitting import BOOSTING, Labels, ensemble, fit, held_out, learning_curve
from symmcd.stability_model.measures import measures, spearman
from symmcd.stability_model.model import HIGHEST, LOWEST, StabilityModel, targets
from symmcd.stability_model.trees import Trees
from symmcd.storage import read_tensors, write_tensors

LABELS = some_labels(160, 0)


@pytest.fixture(scope="module")
def model() -> StabilityModel:
    pytest.importorskip("lightgbm")
    return fit(LABELS, seed=3, about={"judge": "none", "commit": "abc"})


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_trees_are_lightgbms(missing):
    """Also where a value is missing, whether or not one was missing when it was fitted."""
    lightgbm = pytest.importorskip("lightgbm")
    rng = np.random.default_rng(1)
    values = rng.standard_normal((300, len(FEATURES)))
    values[rng.random(values.shape) < missing] = np.nan
    target = np.nan_to_num(values[:, 0] * values[:, 1]) + np.nan_to_num(values[:, 2])
    asked = rng.standard_normal((200, len(FEATURES)))
    asked[rng.random(asked.shape) < 0.2] = np.nan
    boosters = [
        lightgbm.train({**BOOSTING, "seed": seed}, lightgbm.Dataset(values, target), num_boost_round=20)
        for seed in range(2)
    ]
    said = Trees.of_lightgbm([booster.dump_model() for booster in boosters]).evaluate(asked)
    np.testing.assert_allclose(said, [booster.predict(asked) for booster in boosters], atol=2e-6)
    assert said.std() > 0.1


def test_energies_are_predicted_on_compositions_not_seen(model):
    found = model.card["held_out"]
    assert found["spearman"] > 0.8
    assert found["spearman_95"][0] < found["spearman"] < found["spearman_95"][1]
    other = some_labels(150, 1)
    said = model.predict(other.features)
    error = said.energy - targets(other.energy)
    assert spearman(said.energy, other.energy) > 0.8
    assert 0.5 < np.mean((error / said.uncertainty) ** 2) < 2, "as large as it says, of drafts like the labelled ones"


def test_shuffled_labels_predict_nothing():
    pytest.importorskip("lightgbm")
    shuffled = np.random.default_rng(5).permutation(LABELS.energy)
    out = held_out(Labels(LABELS.features, shuffled, LABELS.composition))
    assert abs(spearman(out.energy, shuffled)) < 0.3


def test_a_composition_is_held_out_whole():
    """A label that hangs on the composition alone, at random, is not known for another crystal of it."""
    pytest.importorskip("lightgbm")
    rng = np.random.default_rng(0)
    values, energy = np.repeat(rng.random((40, len(FEATURES))), 4, axis=0), np.repeat(0.25 * rng.random(40), 4)
    names = np.repeat([f"A{n}" for n in range(40)], 4).tolist()
    assert abs(spearman(held_out(Labels(values, energy, names)).energy, energy)) < 0.45
    alone = [f"A{n}" for n in range(160)]
    assert spearman(held_out(Labels(values, energy, alone)).energy, energy) > 0.7, "and it would be"


def test_more_labels_help():
    pytest.importorskip("lightgbm")
    few, many = learning_curve(LABELS, (30, 125, 1000))
    assert [few["fitted_to"], many["fitted_to"]] == [30, 125], "of 160 labels a fold leaves 128"
    assert few["spearman"] < many["spearman"]


def test_the_same_labels_and_seed_give_the_same_trees(model):
    again = ensemble(LABELS, seed=3)
    for name, values in again.arrays().items():
        np.testing.assert_array_equal(values, model.trees.arrays()[name])


def test_a_written_model_is_read(model, tmp_path):
    path = tmp_path / "model.safetensors"
    model.write(path)
    read = StabilityModel.read(path)
    values = some_labels(20, 2).features
    np.testing.assert_array_equal(read.predict(values).energy, model.predict(values).energy)
    np.testing.assert_array_equal(read.predict(values).uncertainty, model.predict(values).uncertainty)
    assert read.card["judge"] == "none"
    assert read.card["held_out"] == json.loads(json.dumps(model.card["held_out"]))


def damaged(name, change):
    def damage(arrays, _):
        arrays[name] = change(arrays[name])

    return damage


def carded(**values):
    return lambda _, card: card.update(values)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (damaged("feature", lambda a: np.where(np.arange(len(a)) == 3, len(FEATURES), a).astype(np.int32)), "beyond"),
        (damaged("left", np.zeros_like), "nowhere, or back"),
        (damaged("right", lambda a: a - 10**6), "nowhere"),
        (damaged("root", lambda a: a[:-1]), "roots"),
        (damaged("value", lambda a: a * np.float32(np.nan)), "not finite"),
        (damaged("threshold", lambda a: a.astype(np.float32)), "threshold: expected one row of float64"),
        (damaged("member", lambda a: a + 1), "member without trees"),
        (lambda arrays, _: arrays.pop("left"), "has the arrays"),
        (carded(features=[*FEATURES[:-1], "mass"]), "mass"),
        (carded(features_version=0), "other features"),
        (carded(features=7), "other features"),
        (carded(noise=-1.0), "noise"),
    ],
)
def test_what_is_not_what_we_write_is_refused(model, tmp_path, damage, said):
    path = tmp_path / "model.safetensors"
    model.write(path)
    arrays, text = read_tensors(path)
    card = json.loads(text["symmcd"])
    damage(arrays, card)
    write_tensors(path, arrays, {**text, "symmcd": json.dumps(card)})
    with pytest.raises(InputError, match=said):
        StabilityModel.read(path)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    write_tensors(path, {"a": np.zeros(2)}, {"format": "symmcd denoiser 2"})
    with pytest.raises(InputError, match="not a stability model"):
        StabilityModel.read(path)
    constant_model().write(path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError):
        StabilityModel.read(path)


def test_without_lightgbm_fitting_is_refused_and_predicting_works(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(InputError, match=r"symmcd\[surrogate\]"):
        fitting.check_library()
    assert constant_model(0.25).of(some_drafts(3, 0), HULL).energy.tolist() == [0.25] * 3


def test_too_few_labels_are_refused():
    with pytest.raises(InputError, match="relax more"):
        fit(LABELS.take(np.arange(20)))


def test_targets():
    energies = np.array([-3.0, 0.05, 9.0, np.nan])
    assert targets(energies).tolist() == [LOWEST, 0.05, HIGHEST, HIGHEST]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=3, max_size=30), st.integers(0, 1000))
def test_spearman_is_scipys(values, seed):
    other = np.random.default_rng(seed).integers(0, 4, len(values))
    if len(set(values)) == 1 or len(set(other.tolist())) == 1:
        assert np.isnan(spearman(np.array(values), other))
    else:
        assert spearman(np.array(values), other) == pytest.approx(scipy.stats.spearmanr(values, other).statistic)


def test_measures_by_hand():
    energies = np.array([0.0, 0.1, np.nan, 0.3, 0.05, 0.5, 0.6, -0.1])
    predicted = np.array([0.2, 0.0, 0.9, 0.5, 0.3, 0.4, 0.6, 0.1])
    found = measures(predicted, energies, targets(energies))
    assert found["stable_0"] == 2 / 8
    assert found["stable_0.1"] == 4 / 8
    assert found["quarter_stable_0"] == 1 / 2  # of 0.1 and -0.1 eV/atom
    assert found["quarter_stable_0.1"] == 1
    assert found["without_energy"] == 1
    assert found["mae"] == pytest.approx(np.abs(predicted - targets(energies)).mean())


def test_neither_torch_nor_lightgbm():
    code = "import sys, symmcd.stability_model.model as m; print({'torch', 'lightgbm'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
