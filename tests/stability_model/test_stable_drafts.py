"""Crystals chosen by a stability model: from drafts to geometries, in Python and from the command line."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
from dataclasses import replace

import numpy as np
import pytest
from tests.stability_model.labelled import constant_model, split_model

from symmcd import cli
from symmcd.crystallography import content
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.best_of import BestOf
from symmcd.diffusion import shard_sampling
from symmcd.diffusion.draft_files import DraftFile
from symmcd.diffusion.generator import Generator
from symmcd.diffusion.pool import FEWEST_CHOSEN, FEWEST_CONSTRAINED
from symmcd.diffusion.pretrained import load_pretrained
from symmcd.diffusion.shard_drafting import draft_shard
from symmcd.diffusion.shard_sampling import sample_shard, settings_hash
from symmcd.errors import InputError
from symmcd.settings import SamplingSettings
from symmcd.stability.hull import ConvexHull
from symmcd.stability_model import fitting, materials
from symmcd.stability_model.choosing import choose, guards
from symmcd.stability_model.labels import labels_of, read_energies, read_runs
from symmcd.stability_model.model import StabilityModel, model_path
from symmcd.stages import choose as choose_stage
from symmcd.stages import surrogate
from symmcd.storage import read_units, write_units

QUICK = {"steps": 1, "proposals": 1}
LIKELY = dataclasses.replace(  # what the generator finds likely is stable
    split_model("log_probability", -20.0, 0.3, 0.0), card={"judge": "springs", "hull": "own"}
)


@pytest.fixture(scope="module")
def shipped():
    return load_pretrained("mp20", device="cpu")


@pytest.fixture(scope="module")
def hull() -> ConvexHull:
    return materials.hull(("val",))


def bits(units):
    return [(u.space_group, u.letter, u.element.tobytes(), u.position.tobytes(), u.lattice.tobytes()) for u in units]


def test_one_draft_a_crystal_is_no_choice(shipped, hull):
    assert bits(shipped.generate(6, **QUICK, stable=1)) == bits(shipped.generate(6, **QUICK))
    drafts, choice = shipped.draft_stable(30, 1, LIKELY, hull=hull)
    assert drafts.number.tolist() == list(range(30))
    assert not choice.left_out


@pytest.mark.parametrize("constraints", [{}, {"space_group": 225}, {"elements": "Li,Fe,O", "max_atoms": 12}])
def test_chosen_drafts_are_completed_by_their_own_numbers(shipped, hull, constraints):
    number, stable = (8, 6) if "elements" not in constraints else (2, 8)
    drafts, choice = shipped.draft_stable(number, stable, LIKELY, hull=hull, seed=5, **constraints)
    pool = FEWEST_CONSTRAINED if constraints else FEWEST_CHOSEN
    every = shipped.draft(pool * stable, seed=5, **constraints)
    assert choice.chosen == pool
    assert drafts.number.tolist() == every.number[choice.index].tolist()
    assert drafts.formula == every.take(choice.index).formula
    assert (guards(drafts) == 0).all()
    units = shipped.generate(
        number, seed=5, stable=stable, stability_model=LIKELY, hull=hull, batch_size=number, **QUICK, **constraints
    )
    assert [unit.formula for unit in units] == drafts.formula
    alone = shipped.with_geometries(every.take(choice.index[-1:]), **QUICK)[0]
    np.testing.assert_allclose(alone.position, units[-1].position, atol=1e-4)


def test_radioactive_elements_are_left_out_unless_asked_for(shipped, hull):
    asked, _ = shipped.draft_stable(3, 8, constant_model(), hull=hull, chemical_system="Tc-O")
    assert all("Tc" in formula for formula in asked.formula)
    with pytest.raises(InputError, match="20 with a radioactive element"):
        choose(shipped.draft(20, chemical_system="Tc-O"), 10, constant_model(), hull)


def test_log_probabilities_of_any_crystals(shipped):
    """Of drafts their own; of the same crystals as units in another order of orbits, the same."""
    drafts = shipped.draft(40, seed=2)
    np.testing.assert_allclose(shipped.log_probability(drafts), drafts.log_probability, atol=1e-4)
    units = AsymmetricUnits.from_units(shipped.with_geometries(drafts, **QUICK))
    order = np.lexsort((np.random.default_rng(0).random(len(units.element)), units.crystal))
    units.wyckoff[:], units.element[:] = units.wyckoff[order], units.element[order]
    np.testing.assert_allclose(shipped.log_probability(units), drafts.log_probability, atol=1e-4)
    assert shipped.log_probability(drafts.take([])).shape == (0,)


def test_the_shipped_model_chooses_where_none_is_named(shipped, hull):
    first, choice = shipped.draft_stable(3, 4, None, hull=hull)
    second, _ = shipped.draft_stable(3, 4, "mp20", hull=hull)
    assert first.arrangement == second.arrangement
    assert choice.drawn == 4 * FEWEST_CHOSEN
    card = StabilityModel.read(model_path("mp20")).card
    assert card["labels"] >= 15_000
    assert card["held_out"]["spearman"] > 0.65
    assert card["weights_sha256"] == shipped.sha256
    assert not choice.of_other_weights
    other = shipped.draft_stable(3, 4, replace(LIKELY, card={"weights_sha256": "none"}), hull=hull)[1]
    assert "drafts of other weights" in other.sentence()


def test_a_model_that_is_not_there_is_refused(shipped, hull, tmp_path, capsys):
    with pytest.raises(InputError, match="symmcd surrogate"):
        shipped.generate(2, stable=2, stability_model="mp21", hull=hull)
    words = ["generate", "--output", str(tmp_path / "out"), "--stable", "--stability-model", "none.safetensors"]
    assert cli.main(words) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert cli.main(["generate", "--output", str(tmp_path / "out"), "--hull", "a.csv"]) == 2
    assert "need --stable" in capsys.readouterr().err
    assert cli.main(["generate", "--output", str(tmp_path / "out"), "--leave-out", "none"]) == 2
    assert "need --stable" in capsys.readouterr().err
    assert cli.main(["generate", "--output", str(tmp_path / "out"), "--stable", "--leave-out", "some"]) == 2
    assert "neither one of train, val, test nor a units.npz file" in capsys.readouterr().err


def chosen_by_stages(generator, folder, how, seed, shards=1):
    """The file of `symmcd choose`, of drafts of so many shards."""
    parts = [folder / f"drafts{shard}_{shards}.npz" for shard in range(shards)]
    for shard, part in enumerate(parts):
        draft_shard(generator, part, shard, shards, how, seed)
    choose_stage.run(parts, folder / "chosen.npz", how)
    return folder / "chosen.npz"


@pytest.mark.parametrize("constraints", [{}, {"chemical_system": "Li-O", "density": "1-4"}])
def test_a_sampled_set_is_chosen_whatever_the_shards(shipped, tmp_path, monkeypatch, constraints):
    """`sampling.oversample`: the crystals of `generate`, in one shard and in two."""
    monkeypatch.setattr("symmcd.diffusion.shard_drafting.BLOCK", 64)  # of 1200 drafts, or of 150
    monkeypatch.setattr("symmcd.diffusion.stable.BLOCK", 64)
    path = tmp_path / "stability.safetensors"
    LIKELY.write(path)
    how = SamplingSettings(
        number=5, steps=1, proposals=1, oversample=6, stability_model=str(path), constraints=constraints
    )
    for shard, shards in ((0, 1), (0, 2), (1, 2)):
        chosen = chosen_by_stages(shipped, tmp_path, how, 3, shards)
        sample_shard(shipped, tmp_path / f"{shard}_{shards}.npz", shard, shards, how, f"{shard}{shards}", 3, chosen)
    whole, first, second = (read_units(tmp_path / name) for name in ("0_1.npz", "0_2.npz", "1_2.npz"))
    assert whole.label.tolist() == [f"{number:05d}" for number in range(5)]
    parts = AsymmetricUnits.concatenate([first, second])
    parts = parts.take(np.argsort(parts.label))
    assert content.arrangements(parts) == content.arrangements(whole)
    np.testing.assert_allclose(parts.position, whole.position, atol=1e-4)
    drafts, choice = shipped.draft_stable(5, 6, path, seed=3, **constraints)
    file = DraftFile.read(chosen)
    np.testing.assert_array_equal(file.drafts.log_probability, drafts.log_probability)  # the same blocks: to the bit
    assert file.drafts.number.tolist() == drafts.number.tolist()
    assert content.arrangements(whole) == drafts.arrangement
    known = BestOf(6, hashlib.sha256(path.read_bytes()).hexdigest(), "springs", "own")
    assert [units.best_of for units in (whole, first, second)] == [known] * 3
    assert choice.best_of == known


def test_samples_that_were_begun_before_say_how_they_were_chosen(shipped, tmp_path, monkeypatch):
    """Batches that an earlier version kept do not say it; the shard does."""
    path = tmp_path / "stability.safetensors"
    LIKELY.write(path)
    how = SamplingSettings(number=4, steps=1, proposals=1, oversample=5, stability_model=str(path), batch_size=2)
    chosen = chosen_by_stages(shipped, tmp_path, how, 3)
    monkeypatch.setattr(shard_sampling, "delete", lambda _: None)
    sample_shard(shipped, tmp_path / "a.npz", 0, 1, how, "a", 3, chosen)
    whole = read_units(tmp_path / "a.npz")
    batches = list((tmp_path / "a.npz.partial").iterdir())
    assert len(batches) == 2
    assert [read_units(batch).best_of for batch in batches] == [None, None]
    sample_shard(shipped, tmp_path / "a.npz", 0, 1, how, "a", 3, chosen)
    again = read_units(tmp_path / "a.npz")
    assert again.best_of == whole.best_of
    assert whole.best_of.drafts == 5
    np.testing.assert_array_equal(again.position, whole.position)


def test_samples_that_were_not_chosen_say_nothing(shipped, tmp_path):
    sample_shard(shipped, tmp_path / "a.npz", 0, 1, SamplingSettings(number=3, steps=1, proposals=1), "a", 3)
    assert read_units(tmp_path / "a.npz").best_of is None
    assert shipped.draft_stable(3, 1, LIKELY)[1].best_of is None


def test_a_model_says_what_is_to_be_said_of_its_choices(tmp_path):
    """Whatever stands on its card, which may be anybody's."""
    for judge, line in (
        ("chgnet", "chgnet"),
        (None, ""),
        (7, ""),
        ("a\n b", "a b"),
        ("\x1b[31m", ""),
        ("x" * 300, "x" * 200),
    ):
        model = dataclasses.replace(LIKELY, card={"judge": judge, "hull": "own"})
        assert model.best_of(4) == BestOf(4, "", line, "own")
    model.write(tmp_path / "a.safetensors")
    read = StabilityModel.read(tmp_path / "a.safetensors")
    assert read.best_of(4).stability_model == hashlib.sha256((tmp_path / "a.safetensors").read_bytes()).hexdigest()


def test_oversampling_needs_a_model(tmp_path):
    with pytest.raises(InputError, match=r"needs sampling\.stability_model"):
        SamplingSettings(oversample=4, stability_model="")
    with pytest.raises(InputError, match="only the workflow"):
        choose_stage.run([], tmp_path, SamplingSettings(oversample=4, stability_model="fit"))
    missing = SamplingSettings(oversample=4, stability_model=str(tmp_path / "none.safetensors"))
    with pytest.raises(InputError, match="no such file"):
        choose_stage.run([], tmp_path, missing)


def test_drafts_that_do_not_fit_are_refused(shipped, tmp_path):
    """Of other weights, another seed or number, not chosen, missing, or not all of them."""
    path = tmp_path / "stability.safetensors"
    LIKELY.write(path)
    how = SamplingSettings(number=4, steps=1, proposals=1, oversample=2, stability_model=str(path))
    chosen = chosen_by_stages(shipped, tmp_path, how, 3, 2)
    file = DraftFile.read(chosen)
    assert file.weights == shipped.hashes
    shard0, shard1 = (tmp_path / f"drafts{shard}_2.npz" for shard in (0, 1))
    DraftFile(file.drafts, ("another",), file.best_of).write(tmp_path / "other.npz")

    def sampled(drafts, settings=how, seed=3):
        sample_shard(shipped, tmp_path / "a.npz", 0, 1, settings, "a", seed, drafts)

    for words, call in {
        "give the drafts that `symmcd choose` chose": lambda: sampled(None),
        "expected 4 chosen ones": lambda: sampled(shard0),
        "expected 3 chosen ones": lambda: sampled(chosen, replace(how, number=3)),
        "of seed 3 instead of 4": lambda: sampled(chosen, seed=4),
        "drafts of other weights": lambda: sampled(tmp_path / "other.npz"),
        "give all shards": lambda: choose_stage.run([shard0], tmp_path / "b.npz", replace(how, number=250)),
        "is in two of": lambda: choose_stage.run([shard0, shard0], tmp_path / "b.npz", how),
        "chosen already": lambda: choose_stage.run([shard1, chosen], tmp_path / "b.npz", how),
        "nothing to choose": lambda: draft_shard(shipped, tmp_path / "b.npz", 0, 1, replace(how, oversample=1), 3),
        "no such file": lambda: settings_hash(path, how, 0, 1, 0, tmp_path / "none.npz"),
    }.items():
        with pytest.raises(InputError, match=words):
            call()
    assert not (tmp_path / "b.npz").exists()


def test_a_killed_shard_of_drafts_goes_on(shipped, tmp_path, monkeypatch):
    """Blocks that are there are not drawn again, and the result is that of one go, to the bit."""
    monkeypatch.setattr("symmcd.diffusion.shard_drafting.BLOCK", 100)
    how = SamplingSettings(number=4, oversample=2)  # 400 drafts, as of 200 crystals
    draft_shard(shipped, tmp_path / "whole.npz", 0, 1, how, 3)
    original, drawn = Generator.drafts, []

    def dies(self, numbers, *rest):
        drawn.append(numbers[0])
        if len(drawn) == 3:
            raise KeyboardInterrupt
        return original(self, numbers, *rest)

    monkeypatch.setattr(Generator, "drafts", dies)
    with pytest.raises(KeyboardInterrupt):
        draft_shard(shipped, tmp_path / "killed.npz", 0, 1, how, 3)
    assert not (tmp_path / "killed.npz").exists()
    draft_shard(shipped, tmp_path / "killed.npz", 0, 1, how, 3)
    assert drawn == [0, 100, 200, 200, 300]
    assert not (tmp_path / "killed.npz.partial").exists()
    whole, killed = (DraftFile.read(tmp_path / f"{name}.npz").drafts for name in ("whole", "killed"))
    for name in ("space_group", "start", "element", "wyckoff", "number", "log_probability"):
        np.testing.assert_array_equal(getattr(killed, name), getattr(whole, name))


@pytest.fixture
def run_folder(shipped, tmp_path):
    """units.npz and hull.csv of 80 crystals, whose energy hangs on their log-probability; two judges, two statuses."""
    units = AsymmetricUnits.from_units(shipped.generate(80, **QUICK), [f"{n:05d}" for n in range(80)])
    write_units(tmp_path / "units.npz", units)
    energy = 0.4 + 0.01 * shipped.log_probability(units)
    formulas = [unit.formula for unit in units]
    with (tmp_path / "hull.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "judge", "hull", "status", "formula", "e_above_hull_relaxed"])
        for judge, shift in (("chgnet", 0.0), ("sevennet-0", 5.0)):
            for row, (value, formula) in enumerate(zip(energy, formulas, strict=True)):
                status = {3: "failed:exploded", 4: "no_reference:Xe"}.get(row, "converged")
                text = f"{value + shift:.6f}" if status == "converged" else ""
                table.writerow([f"{row:05d}", judge, "own", status, formula, text])
    return tmp_path


def test_a_model_is_fitted_to_a_results_folder_and_chooses(run_folder, monkeypatch, capsys):
    pytest.importorskip("lightgbm")
    monkeypatch.setattr(fitting, "ROUNDS", 30)
    monkeypatch.setattr(surrogate, "SIZES", (30, 1000))
    path = run_folder / "stability.safetensors"
    words = ["surrogate", str(run_folder / "units.npz"), "--hull", str(run_folder / "hull.csv"), "--splits", "val"]
    assert cli.main([*words, "--output", str(path)]) == 0
    said = capsys.readouterr().out
    card = StabilityModel.read(path).card
    assert {name: card[name] for name in ("judge", "hull", "labels", "left_out")} == {
        "judge": "chgnet", "hull": "own", "labels": 79, "left_out": 1,
    }  # fmt: skip
    assert card["held_out"]["without_energy"] == 1
    assert card["held_out"]["spearman"] > 0.3
    assert [row["fitted_to"] for row in card["learning_curve"]] == [30]
    assert f"Spearman {card['held_out']['spearman']:.3f}" in said
    assert path.stat().st_size < 10**6
    out = run_folder / "out"
    words = ["generate", "--output", str(out), "--number", "4", "--stable=5", "--stability-model", str(path)]
    assert cli.main([*words, "--steps", "1", "--proposals", "1", "--seed", "7"]) == 0
    assert "chose 200 of 1000 drafts, and took 4 of them at random" in capsys.readouterr().err
    units = read_units(out / "units.npz")
    assert len(units) == 4
    assert units.best_of == BestOf(5, hashlib.sha256(path.read_bytes()).hexdigest(), "chgnet", "own")
    with (out / "crystals.csv").open() as file:
        assert [row["oversample"] for row in csv.DictReader(file)] == ["5"] * 4
    words = ["generate", "--output", str(run_folder / "any"), "--number", "2", "--steps", "1", "--proposals", "1"]
    assert cli.main(words) == 0
    assert read_units(run_folder / "any/units.npz").best_of is None


def test_several_runs_are_one_set_of_labels(run_folder, hull):
    """What is held out is measured on the first; every run says how many of its crystals are stable."""
    pytest.importorskip("lightgbm")
    units, table = run_folder / "units.npz", run_folder / "hull.csv"
    runs = read_runs([units, units], [table, table])
    once, twice = runs[0].shares(), [run.shares() for run in runs]
    assert twice == [once, once]
    assert once["labels"] == 79
    assert once["stable_0.1"] == np.mean(runs[0].energies.energy <= 0.1)
    labels = labels_of(runs, lambda crystals: np.zeros(len(crystals)), hull)
    assert len(labels) == 158
    np.testing.assert_array_equal(labels.features[:79], labels.features[79:])
    model = fitting.fit(labels, first=79)
    assert model.card["held_out"]["labels"] == 79
    with pytest.raises(InputError, match=r"one hull\.csv for each"):
        read_runs([units, units], [table])
    other = run_folder / "other.csv"
    other.write_text(table.read_text().replace(",own,", ",table,"))
    with pytest.raises(InputError, match="labels of one kind"):
        read_runs([units, units], [table, other])


def test_energies_of_another_run_are_refused(run_folder):
    units, path = read_units(run_folder / "units.npz"), run_folder / "hull.csv"
    found = read_energies(path, units)
    assert (len(found.row), found.left_out, found.judge) == (79, 1, "chgnet")
    assert np.isnan(found.energy[3])
    assert np.nanmax(found.energy) < 1, "of the first judge"
    with pytest.raises(InputError, match="not in the crystals"):
        read_energies(path, units.take(np.arange(70)))
    other = units.take(np.arange(80))
    other.element[:] = 8
    with pytest.raises(InputError, match="different runs"):
        read_energies(path, other)
    path.write_text(path.read_text() + path.read_text().splitlines()[1] + "\n")
    with pytest.raises(InputError, match="appears twice"):
        read_energies(path, units)
