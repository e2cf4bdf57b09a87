"""What tests of several stages start from."""

from __future__ import annotations

import pytest
from tests.diffusion.crystals import SMALL_STAGED, random_units

from symmcd.settings import TrainingSettings
from symmcd.stages import train
from symmcd.storage import write_units


@pytest.fixture(scope="session")
def denoiser(tmp_path_factory):
    """Weights of a small staged model that has hardly been trained."""
    folder = tmp_path_factory.mktemp("small")
    write_units(folder / "train.npz", random_units(90, seed=1))
    write_units(folder / "val.npz", random_units(30, seed=2))
    training = TrainingSettings(epochs=3, wyckoff_epochs=3, batch_size=16, validate_every=2, warmup_steps=5)
    train.run(folder / "train.npz", folder / "val.npz", folder, SMALL_STAGED, training, seed=3, device="cpu")
    return folder / "denoiser.safetensors"
