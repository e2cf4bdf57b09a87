"""Two processes that train together, and a batch that goes through in parts, end where one process and one part end."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file
from tests.diffusion.crystals import SMALL, SMALL_STAGED, random_units

from symmcd.settings import TrainingSettings
from symmcd.stages import train
from symmcd.storage import write_units

TRAINING = TrainingSettings(epochs=2, wyckoff_epochs=2, batch_size=16, validate_every=2, warmup_steps=2)
MODELS = {
    "joint": SMALL,
    "unit_cell": dataclasses.replace(SMALL, kind="unit_cell"),
    "staged": dataclasses.replace(SMALL_STAGED, dropout=0.0),  # or each share would have a noise of its own
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_units(folder / "train.npz", random_units(40, seed=1, groups=(2, 14, 62)))
    write_units(folder / "val.npz", random_units(10, seed=2, groups=(2, 14, 62)))
    return folder


def weights(folder) -> dict[str, np.ndarray]:
    found = load_file(folder / "denoiser.safetensors")
    return {name: value.astype(float) for name, value in found.items() if name.startswith("weights/")}


def losses(folder) -> np.ndarray:
    return np.genfromtxt(folder / "losses.csv", delimiter=",", skip_header=1)[:, 2:]


def assert_same_training(found, expected) -> None:
    """Not entry by entry: Adam's first steps go by the sign of a gradient, also where that is rounding."""
    np.testing.assert_allclose(losses(found), losses(expected), rtol=1e-4)
    a, b = weights(found), weights(expected)
    assert a.keys() == b.keys()
    difference = sum(float(((a[name] - b[name]) ** 2).sum()) for name in a)
    assert difference < 1e-6 * sum(float((b[name] ** 2).sum()) for name in b)


@pytest.mark.parametrize("kind", MODELS)
def test_two_processes_and_small_parts_take_the_steps_of_one(data, tmp_path, kind):
    model = MODELS[kind]
    files = data / "train.npz", data / "val.npz"
    train.run(*files, tmp_path / "one", model, TRAINING, seed=3, device="cpu")
    in_parts = dataclasses.replace(TRAINING, crystals_at_once=5)
    train.run(*files, tmp_path / "parts", model, in_parts, seed=3, device="cpu")
    assert_same_training(tmp_path / "parts", tmp_path / "one")

    words = ["train", *map(str, files), "--output", str(tmp_path / "two"), "--seed", "3", "--device", "cpu", "--debug"]
    words += ["--model-settings", json.dumps(dataclasses.asdict(model))]
    words += ["--settings", json.dumps(dataclasses.asdict(TRAINING))]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*torchrun, "-m", "symmcd", *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "2 processes" in done.stdout
    parts = 2 if kind == "staged" else 1
    assert done.stdout.count("wrote") == 2 * parts + 1  # losses and weights of each, by the first process alone
    assert_same_training(tmp_path / "two", tmp_path / "one")
