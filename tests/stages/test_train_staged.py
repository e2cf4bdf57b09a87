"""The staged model from files to files: killed in either network, trained network by network, and able to learn."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from pymatgen.analysis.structure_matcher import StructureMatcher
from safetensors.numpy import load_file
from tests.crystallography.prototypes import prototype
from tests.diffusion.crystals import SMALL_STAGED, random_units

import symmcd
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.diffusion import model_training, training
from symmcd.diffusion.checkpoint import weights_path
from symmcd.diffusion.generator import Generator
from symmcd.diffusion.joint_kind import JointSettings
from symmcd.diffusion.staged.kind import StagedSettings
from symmcd.diffusion.staged.objectives import WyckoffObjective
from symmcd.errors import InputError
from symmcd.settings import SamplingSettings, TrainingSettings
from symmcd.stages import sample, train
from symmcd.storage import read_units, write_units

TRAINING = TrainingSettings(
    epochs=3, wyckoff_epochs=3, batch_size=16, validate_every=2, checkpoint_minutes=0, warmup_steps=5
)
SAMPLING = SamplingSettings(number=23, batch_size=6, steps=20)
TEN = "NaCl", "CsCl", "SrTiO3", "CdI2", "CrB", "FeS2", "TiO2 rutile", "ThCr2Si2", "ZnO", "TiNiSi"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("staged")
    write_units(folder / "train.npz", random_units(90, seed=1))
    write_units(folder / "val.npz", random_units(30, seed=2))
    return folder


@pytest.fixture(scope="module")
def trained(data):
    train.run(data / "train.npz", data / "val.npz", data / "run", SMALL_STAGED, TRAINING, seed=3, device="cpu")
    return data / "run"


def losses_of(folder) -> list[dict[str, str]]:
    with (folder / "losses.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def assert_same_weights(found, expected) -> None:
    a, b = load_file(found / "denoiser.safetensors"), load_file(expected / "denoiser.safetensors")
    assert a.keys() == b.keys()
    for name, value in b.items():
        np.testing.assert_array_equal(a[name], value, err_msg=name)
    assert losses_of(found) == losses_of(expected)


def test_what_a_training_leaves(trained):
    found = sorted(str(path.relative_to(trained)) for path in trained.rglob("*") if path.is_file())
    parts = [f"{part}/{name}" for part in ("geometry", "wyckoff") for name in ("losses.csv", "weights.safetensors")]
    assert found == sorted(["denoiser.safetensors", "losses.csv", *parts])
    rows = losses_of(trained)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    for name in ("wyckoff", "element", "lattice", "position"):
        assert float(rows[2][f"val_{name}"]) < 1.05 * float(rows[1][f"val_{name}"])
    metadata = Generator.load(trained / "denoiser.safetensors", "cpu").checkpoint.metadata
    assert metadata["seed"] == 3
    assert metadata["wyckoff"]["steps_done"] == metadata["geometry"]["steps_done"] == 18


def test_killed_in_either_network_and_resumed_bit_for_bit(data, trained, capsys):
    out = data / "killed"
    command = (
        "from pathlib import Path; from symmcd.settings import read_section; from symmcd.stages import train; "
        f"train.run(Path({str(data / 'train.npz')!r}), Path({str(data / 'val.npz')!r}), Path({str(out)!r}), "
        f"read_section('model', {json.dumps(dataclasses.asdict(SMALL_STAGED))!r}), "
        f"read_section('training', {json.dumps(dataclasses.asdict(TRAINING))!r}), seed=3, device='cpu')"
    )
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    for part in ("wyckoff", "geometry"):
        process = subprocess.Popen([sys.executable, "-c", command], env=environment)
        while process.poll() is None and not (out / part / "checkpoint.safetensors").exists():
            time.sleep(0.0005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
    capsys.readouterr()
    train.run(data / "train.npz", data / "val.npz", out, SMALL_STAGED, TRAINING, seed=3, device="cpu")
    step = re.search(r"continuing from .*geometry.*, step (\d+)", capsys.readouterr().out)
    assert step, "it did not go on from the state of the killed one"
    assert 0 < int(step[1]) < 18
    assert_same_weights(out, trained)


def test_network_by_network_is_the_same_as_in_one_go(data, trained, tmp_path, capsys):
    files = data / "train.npz", data / "val.npz"
    for part in ("geometry", "wyckoff", None):
        train.run(*files, tmp_path, SMALL_STAGED, TRAINING, seed=3, device="cpu", part=part)
    assert capsys.readouterr().out.count("M parameters") == 2, "the last call only puts the two together"
    assert_same_weights(tmp_path, trained)
    with pytest.raises(InputError, match="of kind 'staged', has the parts wyckoff, geometry"):
        train.run(*files, tmp_path, SMALL_STAGED, TRAINING, part="elements")


@pytest.mark.parametrize("part", ["wyckoff", "geometry"])
@pytest.mark.parametrize("cut", [lambda text: text[: text.rindex("3,")], lambda text: text[:-4]])
def test_losses_that_lost_rows_are_not_joined(data, trained, tmp_path, part, cut):
    shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "run/denoiser.safetensors").unlink()
    losses = tmp_path / "run" / part / "losses.csv"
    losses.write_text(cut(losses.read_text()))
    with pytest.raises(InputError, match=rf"{part}/losses\.csv.*(wrote 3|row 3)"):
        train.run(data / "train.npz", data / "val.npz", tmp_path / "run", SMALL_STAGED, TRAINING, seed=3, device="cpu")
    assert not (tmp_path / "run/denoiser.safetensors").exists()


@pytest.mark.parametrize(
    ("told", "instead"),
    [("val_total", "val\0total"), ("train_position,", "train_,"), ("seconds,", "seconds,x"), ("\n3,", "\nx,")],
)
def test_a_damaged_table_of_losses_is_refused(data, trained, tmp_path, told, instead):
    shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "run/denoiser.safetensors").unlink()
    losses = tmp_path / "run/geometry/losses.csv"
    text = losses.read_text()
    assert told in text
    losses.write_text(text.replace(told, instead))
    with pytest.raises(InputError, match=r"geometry/losses\.csv"):
        train.run(data / "train.npz", data / "val.npz", tmp_path / "run", SMALL_STAGED, TRAINING, seed=3, device="cpu")
    assert not (tmp_path / "run/denoiser.safetensors").exists()


def test_other_settings_of_one_network_leave_the_other_alone(data, trained, tmp_path, capsys):
    files = data / "train.npz", data / "val.npz"
    train.run(*files, tmp_path, SMALL_STAGED, TRAINING, seed=3, device="cpu", part="geometry")
    other = dataclasses.replace(SMALL_STAGED, wyckoff_width=16), dataclasses.replace(TRAINING, wyckoff_epochs=1)
    capsys.readouterr()
    train.run(*files, tmp_path, *other, seed=3, device="cpu")
    assert capsys.readouterr().out.count("M parameters") == 1
    a, b = (load_file(folder / "denoiser.safetensors") for folder in (tmp_path, trained))
    for name in (name for name in b if name.startswith("weights/geometry.")):
        np.testing.assert_array_equal(a[name], b[name])


def test_the_weights_with_the_lowest_validation_loss_are_kept(data, tmp_path, capsys, monkeypatch):
    """A network that learns noise by heart gets worse at what it has not seen; killed on the way, it stays so."""
    model = dataclasses.replace(SMALL_STAGED, dropout=0.0)
    settings = dataclasses.replace(
        TRAINING, wyckoff_epochs=30, validate_every=3, learning_rate=2e-2, ema_decay=0.5, calibration_rounds=0
    )
    files = data / "train.npz", data / "val.npz"
    monkeypatch.setattr(training, "write_state", interrupted_after(100, training.write_state))
    with pytest.raises(KeyboardInterrupt):
        train.run(*files, tmp_path, model, settings, seed=3, device="cpu", part="wyckoff")
    monkeypatch.undo()
    train.run(*files, tmp_path, model, settings, seed=3, device="cpu", part="wyckoff")
    tensors = load_file(tmp_path / "wyckoff/weights.safetensors")
    objective = WyckoffObjective(model, read_units(files[0]), read_units(files[1]), torch.device("cpu"))
    objective.network.load_state_dict({name: torch.from_numpy(tensors[name]) for name in tensors})
    kept = objective.validation_losses(objective.network, settings.batch_size)["total"]
    losses = [float(row["val_total"]) for row in losses_of(tmp_path / "wyckoff") if row["val_total"]]
    best = int(np.argmin(losses))
    assert 100 / 6 > 3 * (best + 1) < 30, "the best epoch has to lie before the interruption, and before the end"
    assert kept == pytest.approx(min(losses), rel=1e-4)
    assert f"kept the weights of epoch {3 * (best + 1)}," in capsys.readouterr().out


def test_a_training_that_has_lost_patience_keeps_what_a_longer_one_would(data, tmp_path, capsys):
    model = dataclasses.replace(SMALL_STAGED, dropout=0.0)
    settings = dataclasses.replace(TRAINING, wyckoff_epochs=30, validate_every=2, learning_rate=2e-2, ema_decay=0.5)
    kept = []
    for patience in (6, 0):
        folder, of_patience = tmp_path / str(patience), dataclasses.replace(settings, patience=patience)
        train.run(data / "train.npz", data / "val.npz", folder, model, of_patience, seed=3, part="wyckoff")
        kept.append(load_file(folder / "wyckoff/weights.safetensors"))
    losses = [float(row["val_total"] or "inf") for row in losses_of(tmp_path / "0/wyckoff")]
    best = int(np.argmin(losses)) + 1
    assert best + 6 < 30
    assert len(losses_of(tmp_path / "6/wyckoff")) == best + 6
    assert "no lower validation loss for 6 epochs" in capsys.readouterr().out
    for name, value in kept[1].items():
        np.testing.assert_array_equal(kept[0][name], value)


def test_an_element_that_only_validation_has_does_not_make_its_loss_infinite(data, tmp_path, capsys):
    """As in the quickstart's prototypes: the best epoch was then the first, whatever came after it."""
    units = read_units(data / "val.npz")
    element = units.element.copy()
    element[units.start[4] : units.start[5]] = 55
    write_units(tmp_path / "val.npz", dataclasses.replace(units, element=element))
    train.run(data / "train.npz", tmp_path / "val.npz", tmp_path, SMALL_STAGED, TRAINING, device="cpu", part="wyckoff")
    assert "1 of 30 validation crystals have elements that no training crystal has" in capsys.readouterr().out
    assert all(np.isfinite(float(row["val_total"] or 0)) for row in losses_of(tmp_path / "wyckoff"))
    write_units(tmp_path / "all.npz", dataclasses.replace(units, element=np.full_like(element, 55)))
    with pytest.raises(InputError, match="every validation crystal"):
        train.run(data / "train.npz", tmp_path / "all.npz", tmp_path / "b", SMALL_STAGED, TRAINING, device="cpu")


def test_parts_are_joined_on_a_machine_on_which_they_could_not_be_trained(data, trained, tmp_path, monkeypatch):
    """A cluster joins on a node without a GPU what nodes with one have trained; only training is refused there."""

    def refuse(*_):
        raise InputError("takes about 15 days")

    monkeypatch.setattr(model_training, "refuse_days", refuse)
    shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "run/denoiser.safetensors").unlink()
    files = data / "train.npz", data / "val.npz"
    train.run(*files, tmp_path / "run", SMALL_STAGED, TRAINING, seed=3, device="auto")
    assert_same_weights(tmp_path / "run", trained)
    with pytest.raises(InputError, match="15 days"):
        train.run(*files, tmp_path / "new", SMALL_STAGED, TRAINING, seed=3, device="auto")
    train.run(*files, tmp_path / "new", SMALL_STAGED, TRAINING, seed=3, device="cpu", part="wyckoff")


def test_a_disk_that_is_full_at_the_end_loses_no_training(data, trained, tmp_path, monkeypatch, capsys):
    files = data / "train.npz", data / "val.npz"

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model_training, "write_part", full)
    with pytest.raises(OSError, match="No space left"):
        train.run(*files, tmp_path, SMALL_STAGED, TRAINING, seed=3, device="cpu", part="wyckoff")
    monkeypatch.undo()
    capsys.readouterr()
    train.run(*files, tmp_path, SMALL_STAGED, TRAINING, seed=3, device="cpu", part="wyckoff")
    assert "continuing from" in capsys.readouterr().out
    a, b = (load_file(folder / "wyckoff/weights.safetensors") for folder in (tmp_path, trained))
    assert all((a[name] == b[name]).all() for name in b)
    assert not (tmp_path / "wyckoff/checkpoint.safetensors").exists()


def test_memory_is_no_reason_to_train_again_and_other_weights_are_set_aside(data, trained, tmp_path, capsys):
    files = data / "train.npz", data / "val.npz"
    shutil.copytree(trained, tmp_path / "run")
    less = dataclasses.replace(TRAINING, crystals_at_once=4)
    train.run(*files, tmp_path / "run", SMALL_STAGED, less, seed=3, device="cpu")
    assert "M parameters" not in capsys.readouterr().out
    other = dataclasses.replace(TRAINING, wyckoff_epochs=1)
    train.run(*files, tmp_path / "run", SMALL_STAGED, other, seed=3, device="cpu", part="wyckoff")
    assert "weights.old.safetensors" in capsys.readouterr().out
    a, b = (load_file(folder / "wyckoff" / name) for folder, name in (
        (tmp_path / "run", "weights.old.safetensors"), (trained, "weights.safetensors")))  # fmt: skip
    assert all((a[name] == b[name]).all() for name in b)


def interrupted_after(step: int, write):
    """`write_state` of a training that is interrupted once it has made so many steps."""

    def write_and_stop(path, state, *rest):
        write(path, state, *rest)
        if state.step == step:
            raise KeyboardInterrupt

    return write_and_stop


def test_weights_that_are_given_are_not_trained(data, trained, tmp_path, capsys):
    files = data / "train.npz", data / "val.npz"
    settings = dataclasses.replace(TRAINING, weights=str(trained / "denoiser.safetensors"))
    train.run(*files, tmp_path / "a", SMALL_STAGED, settings, device="cpu")
    assert "nothing was trained" in capsys.readouterr().out
    given, taken = (folder / "denoiser.safetensors" for folder in (trained, tmp_path / "a"))
    assert taken.read_bytes() == given.read_bytes()
    assert losses_of(tmp_path / "a") == []
    with pytest.raises(InputError, match="no weights named 'mp21'"):
        train.run(*files, tmp_path / "b", SMALL_STAGED, dataclasses.replace(TRAINING, weights="mp21"))
    (tmp_path / "cut.safetensors").write_bytes(given.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"cut\.safetensors"):
        train.run(
            *files,
            tmp_path / "b",
            SMALL_STAGED,
            dataclasses.replace(TRAINING, weights=str(tmp_path / "cut.safetensors")),
        )
    assert not (tmp_path / "b" / "denoiser.safetensors").exists()


def network_of(folder, part: str) -> dict[str, np.ndarray]:
    found = load_file(folder / "denoiser.safetensors")
    return {name: value for name, value in found.items() if name.startswith(f"weights/{part}.")}


def test_a_training_may_start_from_given_weights(data, trained, tmp_path, capsys):
    """Where nothing is learnt the weights stay, but for what says which elements the new training set has."""
    given = str(trained / "denoiser.safetensors")
    still = dataclasses.replace(TRAINING, learning_rate=1e-12, epochs=1, wyckoff_epochs=1, calibration_rounds=0)
    units = random_units(40, seed=4)
    units.element[units.element == 57] = 58
    write_units(tmp_path / "train.npz", units)
    files = tmp_path / "train.npz", tmp_path / "train.npz"
    train.run(*files, tmp_path / "a", SMALL_STAGED, dataclasses.replace(still, init=given), seed=9, device="cpu")
    train.run(*files, tmp_path / "b", SMALL_STAGED, still, seed=9, device="cpu")
    for part in ("wyckoff", "geometry"):
        theirs, taken, other = (network_of(folder, part) for folder in (trained, tmp_path / "a", tmp_path / "b"))
        assert theirs.keys() == taken.keys()
        for name, value in theirs.items():
            if name.endswith(".seen"):
                assert (taken[name] != value).nonzero()[0].tolist() == [56, 57]
            else:
                np.testing.assert_allclose(taken[name], value, atol=1e-6, err_msg=name)
        assert any(
            np.abs(other[name] - value).max() > 0.01 for name, value in theirs.items() if value.dtype.kind == "f"
        )
    metadata = Generator.load(tmp_path / "a" / "denoiser.safetensors", "cpu").checkpoint.metadata
    assert metadata["training"]["init"] == given
    assert metadata["init_sha256"] == hashlib.sha256((trained / "denoiser.safetensors").read_bytes()).hexdigest()
    capsys.readouterr()
    for name in ("denoiser.safetensors", "wyckoff/weights.safetensors"):
        (tmp_path / "a" / name).unlink()
    same = tmp_path / "same.safetensors"  # under another name: what is trained already stays
    shutil.copyfile(given, same)
    train.run(*files, tmp_path / "a", SMALL_STAGED, dataclasses.replace(still, init=str(same)), seed=9, device="cpu")
    assert capsys.readouterr().out.count("M parameters") == 1
    train.run(*files, tmp_path / "a", SMALL_STAGED, dataclasses.replace(still, init=""), seed=9, device="cpu")
    assert capsys.readouterr().out.count("M parameters") == 2, "random weights are another training"


def test_words_for_weights_that_a_training_cannot_start_from(data, trained, tmp_path):
    files = data / "train.npz", data / "val.npz"
    starting = dataclasses.replace(TRAINING, init=str(trained / "denoiser.safetensors"))
    for settings, words in (
        (dataclasses.replace(SMALL_STAGED, width=16), "for geometry .*: model.width is 32 there and 16 here"),
        (dataclasses.replace(SMALL_STAGED, wyckoff_layers=1), "for wyckoff .*: model.wyckoff_layers is 2 there and 1"),
        (JointSettings(width=16, layers=1, steps=20), "weights of a 'staged' model, and this one is of kind 'joint'"),
    ):
        with pytest.raises(InputError, match=words):
            train.run(*files, tmp_path / "a", settings, starting, device="cpu")
    assert not list((tmp_path / "a").glob("*/*.safetensors")), "said before anything is trained"
    with pytest.raises(InputError, match="no weights named 'mp21'"):
        train.run(*files, tmp_path / "a", SMALL_STAGED, dataclasses.replace(TRAINING, init="mp21"), device="cpu")
    with pytest.raises(InputError, match="leave one of them empty"):
        dataclasses.replace(starting, weights="mp20")


def test_a_joint_model_starts_from_given_weights_too(data, tmp_path):
    files, model = (data / "train.npz", data / "val.npz"), JointSettings(width=16, layers=1, frequencies=2, steps=20)
    settings = dataclasses.replace(TRAINING, learning_rate=1e-12, epochs=1)
    train.run(*files, tmp_path / "a", model, dataclasses.replace(settings, learning_rate=1e-2), device="cpu")
    init = str(tmp_path / "a" / "denoiser.safetensors")
    train.run(*files, tmp_path / "b", model, dataclasses.replace(settings, init=init), seed=7, device="cpu")
    for name, value in load_file(init).items():
        np.testing.assert_allclose(load_file(tmp_path / "b/denoiser.safetensors")[name], value, atol=1e-5, err_msg=name)


def test_temperature_belongs_to_staged_models(trained):
    generator = Generator.load(trained / "denoiser.safetensors", "cpu")
    cold, hot = (generator.generate(60, 225, seed=1, steps=2, temperature=t) for t in (0.1, 10.0))
    assert len({unit.template for unit in cold}) < len({unit.template for unit in hot})
    for temperature in (0.0, 1e-40, float("inf"), float("nan")):
        with pytest.raises(InputError, match=r"temperature .*: must lie between"):
            generator.generate(1, temperature=temperature)
    for wrong in ({"steps": -3}, {"batch_size": 0}, {"proposals": -1}):
        with pytest.raises(InputError, match="at least 1"):
            generator.generate(1, **wrong)


def test_shards_and_batch_sizes_change_no_crystal(trained, tmp_path):
    denoiser = trained / "denoiser.safetensors"
    sample.run(denoiser, tmp_path / "whole.npz", 0, 1, SAMPLING, seed=1, device="cpu")
    whole, parts = read_units(tmp_path / "whole.npz"), []
    for shard in range(3):
        settings = dataclasses.replace(SAMPLING, batch_size=(1, 4, 100)[shard])
        path = tmp_path / f"shard{shard}.npz"
        sample.run(denoiser, path, shard, 3, settings, seed=1, device="cpu")
        parts.append(read_units(path))
    found = AsymmetricUnits.concatenate(parts)
    found = found.take(np.argsort(found.label))
    for name in ("label", "space_group", "start", "element", "wyckoff"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
    np.testing.assert_allclose((found.position - whole.position + 0.5) % 1 - 0.5, 0, atol=1e-4)
    np.testing.assert_allclose(found.k, whole.k, atol=1e-4)


def products_of_rows_are_apart() -> bool:
    """Whether this machine's library multiplies a row by a matrix to the same bits, whatever rows stand with it."""
    generator = torch.Generator().manual_seed(0)
    for features, width in ((128, 128), (128, 32), (16, 128), (16, 16), (64, 128), (256, 128)):
        rows, matrix = (torch.randn(n, features, generator=generator) for n in (1024, width))
        whole = rows @ matrix.T
        if not all(torch.equal(rows[:number] @ matrix.T, whole[:number]) for number in (32, 64, 256, 512)):
            return False
    return True


def test_crystals_of_the_shipped_weights_do_not_depend_on_the_batch(tmp_path):
    """Round-off grows over two hundred calls of the network: at least 8 of 40 became others before rows were padded."""
    if not products_of_rows_are_apart():
        pytest.skip("this machine's matrix products of a row depend on how many rows there are")
    made = []
    for batch_size in (1, 5, 24):
        settings = SamplingSettings(number=24, batch_size=batch_size)
        path = tmp_path / f"{batch_size}.npz"
        sample.run(weights_path("mp20"), path, 0, 1, settings, seed=5, device="cpu")
        made.append(read_units(path))
    for other in made[1:]:
        np.testing.assert_array_equal(other.element, made[0].element)
        np.testing.assert_allclose((other.position - made[0].position + 0.5) % 1 - 0.5, 0, atol=1e-5)
        np.testing.assert_allclose(other.k, made[0].k, atol=1e-5)


def test_ten_crystals_are_learnt_by_heart(tmp_path):
    """Sampling returns the textbook crystals it was shown, as pymatgen's matcher sees them, and misses none of them."""
    known = {name: prototype(name) for name in TEN}
    units = AsymmetricUnits.from_units([symmcd.reduce(crystal) for crystal in known.values() for _ in range(16)])
    write_units(tmp_path / "ten.npz", units)
    model = StagedSettings(width=64, layers=2, wyckoff_width=64, wyckoff_layers=2, wyckoff_heads=2, dropout=0.0)
    training = TrainingSettings(
        epochs=600, wyckoff_epochs=100, batch_size=160, learning_rate=5e-3, ema_decay=0.98, validate_every=1000
    )
    train.run(tmp_path / "ten.npz", tmp_path / "ten.npz", tmp_path, model, training, device="cpu")
    drawn = Generator.load(tmp_path / "denoiser.safetensors", "cpu").generate(60, seed=1)
    matcher, found = StructureMatcher(ltol=0.03, stol=0.05, angle_tol=1), []
    for unit in drawn:
        found += [name for name, crystal in known.items() if matcher.fit(crystal, symmcd.replicate(unit))]
    assert len(found) >= 52, f"{len(found)} of 60"
    assert set(found) == set(TEN)
