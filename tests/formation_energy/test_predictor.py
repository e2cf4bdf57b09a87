"""Stage `predictor` from files to files, the same weights from the same seed, and what stands where none is trained."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Lattice, Structure
from scipy import stats
from tests.formation_energy.crystals import crystals

import symmcd
from symmcd import replicate
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.errors import InputError
from symmcd.formation_energy import predictor as predictors
from symmcd.formation_energy import predictor_training as training
from symmcd.formation_energy.predictor import predict, predict_cached, read_metadata, read_predictor
from symmcd.formation_energy.set_energies import predicted_energies
from symmcd.metrics.reference_set import ReferenceSet
from symmcd.metrics.set_summary import CrystalSet, Predicted, summarise_set
from symmcd.settings import PREDICTOR_VARIANTS, PredictorSettings
from symmcd.stages import predictor as stage
from symmcd.storage import read_arrays, read_tensors, read_units, write_arrays, write_tensors, write_units

SETTINGS = PredictorSettings(
    width=8, blocks=1, interaction_width=8, basis_width=4, output_width=8, spherical=3, radial=4, cutoff=4.0,
    neighbours=8, epochs=2, batch_size=4, learning_rate=3e-3,
)  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Three sets, and the folder they are in."""
    folder = tmp_path_factory.mktemp("units")
    rng = np.random.default_rng(0)
    for name in ("train", "val", "test"):
        units = AsymmetricUnits.concatenate([crystals()] * 2)
        units = dataclasses.replace(units, k=units.k + rng.normal(0, 0.02, (len(units), 1)) * [0, 0, 0, 0, 0, 1])
        energy = rng.normal(-1, 1, len(units))
        energy[3] = np.nan  # a crystal of which nothing is known
        write_units(folder / f"{name}.npz", dataclasses.replace(units, properties={training.PROPERTY: energy}))
    return folder


def train(files, output, settings=SETTINGS, variant=None, seed=0):
    sets = [files / f"{name}.npz" for name in ("train", "val", "test")]
    stage.run(*sets, output, settings, seed=seed, device="cpu", variant=variant)
    return output


@pytest.fixture(scope="module")
def trained(files, tmp_path_factory):
    return train(files, tmp_path_factory.mktemp("trained"))


def test_table_5_has_what_the_predictors_say(trained):
    table = pd.read_csv(trained / "table5.csv").set_index("variant")
    assert list(table.index) == list(PREDICTOR_VARIANTS)
    assert table["published"].tolist() == [0.0214, 0.0212, 0.0711, 0.0490]
    for variant in PREDICTOR_VARIANTS:
        about = json.loads((trained / f"{variant}.json").read_text())
        predicted = pd.read_csv(trained / f"{variant}_test.csv")
        assert len(predicted) == about["n"] == table["n"][variant] == 15
        error = (predicted["predicted"] - predicted[training.PROPERTY]).abs().mean()
        assert about["mae"] == pytest.approx(error, abs=1e-5)
        assert table["mae"][variant] == pytest.approx(error, abs=1e-5)
        assert f"{error:.4f} [" in (trained / "table5.md").read_text()
    assert "0.0214 & 0.0212 & 0.0711 & 0.0490" in (trained / "table5.tex").read_text()


def test_the_interval_is_that_of_a_mean(trained):
    """Bootstrap standard errors against the textbook's, of 400 errors."""
    rng = np.random.default_rng(1)
    known, predicted = rng.normal(size=(2, 400))
    found = training.mean_absolute_error(predicted, known, seed=0)
    error = np.abs(predicted - known)
    assert found["mae"] == pytest.approx(error.mean())
    half = 1.96 * stats.sem(error)
    assert found["high"] - found["mae"] == pytest.approx(half, rel=0.15)
    assert found["mae"] - found["low"] == pytest.approx(half, rel=0.15)


def test_same_seed_same_weights(files, trained, tmp_path):
    again = train(files, tmp_path / "again", variant="multigraph")
    other = train(files, tmp_path / "other", variant="multigraph", seed=1)
    first, second, third = (read_tensors(f / "multigraph.safetensors")[0] for f in (trained, again, other))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert any(not np.array_equal(first[name], third[name]) for name in first)
    assert not (again / "table5.csv").exists()  # one variant alone


def test_what_is_trained_is_not_trained_again(files, trained, capsys):
    before = (trained / "multigraph.safetensors").stat().st_mtime_ns
    train(files, trained, dataclasses.replace(SETTINGS, checkpoint_minutes=9, d_e="asymmetric_unit"))
    assert (trained / "multigraph.safetensors").stat().st_mtime_ns == before
    assert capsys.readouterr().out.count("trained already") == 4


def test_a_predictor_read_back_predicts_as_trained(files, trained):
    predictor = read_predictor(trained / "multigraph_site_symmetry.safetensors")
    units = training._with_energies(read_units(files / "test.npz"))
    known = pd.read_csv(trained / "multigraph_site_symmetry_test.csv")["predicted"]
    assert predict(predictor, units).energy == pytest.approx(known.to_numpy(), abs=2e-6)


def test_no_energies_no_predictor_and_it_is_said(tmp_path):
    for name in ("train", "val", "test"):
        write_units(tmp_path / f"{name}.npz", crystals())
    train(tmp_path, tmp_path, dataclasses.replace(SETTINGS, variants=("multigraph",)))
    why = read_predictor(tmp_path / "multigraph.safetensors")
    assert isinstance(why, str)
    assert "no formation energies in this data set" in why
    table = pd.read_csv(tmp_path / "table5.csv").set_index("variant")
    assert table["mae"].isna().all()
    assert table["note"]["multigraph"] == why
    assert table["note"]["asymmetric_unit"] == "not among predictor.variants"
    assert why in (tmp_path / "table5.md").read_text()
    found = predicted_energies(tmp_path / "multigraph.safetensors", crystals(), crystals(), None)
    assert found.energies is None
    assert found.error is None
    assert why in found.note


def test_no_variants_is_no_training(files, tmp_path):
    train(files, tmp_path, dataclasses.replace(SETTINGS, variants=()))
    assert set(pd.read_csv(tmp_path / "table5.csv")["note"]) == {"not among predictor.variants"}
    assert not list(tmp_path.glob("*.safetensors"))


def test_predictions_are_kept_and_belong_to_their_crystals(trained, tmp_path, monkeypatch):
    weights, cache = trained / "multigraph.safetensors", tmp_path / "energies.npz"
    predictor, units = read_predictor(weights), crystals()
    first = predict_cached(cache, weights, predictor, units, lambda _: None)
    with monkeypatch.context() as patch:
        patch.setattr(predictors, "predict", None)  # not called again
        assert np.array_equal(predict_cached(cache, weights, predictor, units, lambda _: None).energy, first.energy)
    fewer = predict_cached(cache, weights, predictor, units.take([2, 1]), lambda _: None)
    assert fewer.energy == pytest.approx(first.energy[[2, 1]], abs=1e-5)
    kept = read_arrays(cache)
    for name, array in (
        ("energy", None),
        ("energy", np.array(["x", "y"])),
        ("reason", np.zeros(2)),
        ("key", kept["reason"]),
    ):
        write_arrays(cache, {k: v for k, v in (kept | {name: array}).items() if v is not None})
        with pytest.raises(InputError, match=rf"energies\.npz: .*{name}"):
            predict_cached(cache, weights, predictor, units, lambda _: None)


def test_a_crystal_without_a_graph_has_a_reason(trained):
    units = crystals()
    element = units.element.copy()
    element[0] = 100
    found = predict(read_predictor(trained / "multigraph.safetensors"), dataclasses.replace(units, element=element))
    assert np.isnan(found.energy[0])
    assert found.reason.tolist() == ["element"] + [""] * 7
    assert np.isfinite(found.energy[1:]).all()


def test_other_files_are_refused(trained, tmp_path):
    path = tmp_path / "denoiser.safetensors"
    write_tensors(path, {}, {"format": "symmcd denoiser 1"})
    with pytest.raises(InputError, match="not a predictor"):
        read_metadata(path)
    with pytest.raises(InputError, match="one of multigraph"):
        train(tmp_path, tmp_path, variant="molecule")


def test_d_e_is_scipys_distance_of_the_energies():
    """Of all crystals that have a prediction, against the reference's; without a reference there is no such row."""
    rng = np.random.default_rng(0)
    units = crystals()
    number = 60
    table = pd.DataFrame(
        {
            "status": "ok", "valid": True, "structurally_valid": True, "structurally_valid_strict": True,
            "compositionally_valid": True, "space_group": 1, "space_group_found": 1, "group_kept": True,
            "density": rng.normal(5, 1, number), "elements": 2, "template": "1_a", "template_canonical": "1_a",
            "agreement": "exact",
        }
    )  # fmt: skip
    energy = np.append(rng.normal(-1, 1, number - 1), np.nan)
    theirs = rng.normal(-2, 1, len(units))
    crystal_set = CrystalSet(table, sample=50, reference=ReferenceSet(units), predictor=Predicted("", (energy, theirs)))
    rows = {(row["metric"], row["protocol"]): row for row in summarise_set(crystal_set)}
    row = rows["formation_energy_wasserstein", "strict"]
    expected = stats.wasserstein_distance(energy[:-1], theirs)
    assert row["value"] == pytest.approx(expected)
    assert row["n"] == number - 1
    assert "1 without prediction" in row["note"]
    assert row["low"] < row["value"] < row["high"]
    assert rows["formation_energy_wasserstein", "paper"]["n"] in (49, 50)
    without = summarise_set(dataclasses.replace(crystal_set, predictor=None))
    assert "formation_energy_wasserstein" not in {row["metric"] for row in without}


def test_evaluate_has_d_e_where_there_is_a_predictor(trained):
    """Crystals of the reference are at no distance from it; a crystal without energy is left out."""
    weights, units = trained / "multigraph.safetensors", crystals()
    structures = dict(enumerate(replicate(unit) for unit in units))
    structures["flat"] = Structure(Lattice(np.diag([4, 4, 1e-9])), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    result = symmcd.evaluate(structures, reference=units, predictor=weights, workers=1)
    energy = predict(read_predictor(weights), units).energy
    assert result.table["formation_energy"].tolist()[:8] == pytest.approx(energy.tolist(), abs=1e-3)
    rows = {(row["metric"], row["protocol"]): row for row in result.rows}
    row = rows["formation_energy_wasserstein", "strict"]
    assert (row["value"], row["n"]) == (pytest.approx(0, abs=1e-3), 8)
    assert rows["formation_energy_error", "paper"]["value"] == read_metadata(weights)["mae"]
    without = symmcd.evaluate(structures, reference=units, workers=1)
    assert {row["metric"] for row in result.rows} - {row["metric"] for row in without.rows} == {
        "formation_energy_wasserstein", "formation_energy_error",
    }  # fmt: skip
    with pytest.raises(InputError, match="compares with the energies of a reference set; give"):
        symmcd.evaluate(structures, predictor=weights)
