"""Kinds of models: what every entry must be, what a model returns, checkpoints of the first format, one of a test."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from symmcd import config
from symmcd.crystallography.asymmetric_unit import numbered_labels
from symmcd.crystallography.wyckoff import wrap, wyckoff_table
from symmcd.diffusion.abilities import read_abilities, weights_path
from symmcd.diffusion.checkpoint import read_checkpoint
from symmcd.diffusion.generator import Generator
from symmcd.diffusion.joint_kind import JointSettings
from symmcd.diffusion.model import Plan, checked_sample
from symmcd.diffusion.random_streams import CrystalStreams
from symmcd.diffusion.sampler import Sampler
from symmcd.errors import InputError, SymmcdError
from symmcd.extensions import ABILITIES, MODELS, MP20
from symmcd.settings import ModelSettings, ReplicateSettings, SamplingSettings, TrainingSettings
from symmcd.stages import replicate, sample, train
from symmcd.storage import read_tensors, read_units, write_tensors, write_units
from tests.diffusion import echo_model
from tests.diffusion.crystals import random_units
from tests.diffusion.echo_model import ECHO, EchoSettings


@pytest.mark.parametrize("name", MODELS.shipped)
def test_what_every_entry_is(name):
    kind = MODELS[name]
    assert kind.name == name
    settings = kind.settings(kind=name)
    assert isinstance(settings, ModelSettings)
    assert kind.can <= {*ABILITIES}
    assert len({part.name for part in kind.parts}) == len(kind.parts)
    sections = {"model": settings, "training": TrainingSettings()}
    for part in kind.parts:
        assert part.name.isidentifier()
        assert getattr(TrainingSettings(), part.epochs) > 0
        for section, names in part.independent_of.items():
            assert {*names} <= {field.name for field in dataclasses.fields(sections[section])}
    assert 1 <= kind.steps(settings) <= kind.trained_steps(settings)
    assert kind.cpu_days(settings, TrainingSettings(), MP20) >= 0


def test_letters_survive_sampling(staged: Generator):
    """The crystals stand on the positions that were drawn, whatever the geometry; fixed coordinates are exact."""
    plans = staged.plan(np.arange(200), Sampler(batch_size=80), 3)
    for plan in plans:
        streams = CrystalStreams(3, torch.as_tensor(plan.number))
        with torch.inference_mode():
            drawn = staged._model.draft(plan, streams, Sampler()).sequences
        units = staged.sample(plan, Sampler(steps=2), 3)
        mask = drawn.mask
        assert units.space_group.tolist() == drawn.space_group.tolist()
        assert np.diff(units.start).tolist() == drawn.count.tolist()
        assert units.wyckoff.tolist() == drawn.wyckoff[mask].tolist()
        assert units.element.tolist() == drawn.element[mask].tolist()
        generator = wyckoff_table().generator[units.wyckoff]
        again = wrap((generator[:, :, :3] @ units.position[:, :, None])[..., 0] + generator[:, :, 3])
        shift = again - units.position  # T x + c = x on the position, up to a lattice translation of free coordinates
        fixed = ~generator[:, :, :3].any(axis=2)
        assert fixed.any()
        assert not shift[fixed].any(), "to the last digit"
        np.testing.assert_allclose(units.check().position, units.position, rtol=0, atol=1e-12)


# --- checkpoints of the first format ---------------------------------------------------------------------------------

FLAT = {  # as the first format has it: one list for all kinds
    "kind": "staged", "width": 128, "layers": 6, "frequencies": 128, "time_features": 10, "steps": 1000,
    "sigma_min": 0.005, "sigma_max": 0.5, "aggregation": "sum", "standardise_lattice": True, "wyckoff_width": 128,
    "wyckoff_layers": 4, "wyckoff_heads": 4, "wyckoff_networks": 1, "dropout": 0.2,
}  # fmt: skip


def of_first_format(path: Path, model: dict[str, object]) -> Path:
    """The shipped weights with other settings in their metadata."""
    arrays, text = read_tensors(weights_path("mp20"))
    text = {"format": "symmcd denoiser 1", "symmcd": json.dumps(json.loads(text["symmcd"]) | {"model": model})}
    write_tensors(path, arrays, text)
    return path


def test_settings_of_other_kinds_are_left_out_of_the_first_format(tmp_path):
    found = read_checkpoint(of_first_format(tmp_path / "d.safetensors", FLAT))
    expected = read_checkpoint(weights_path("mp20"))
    assert found.settings == expected.settings
    assert not hasattr(found.settings, "frequencies")
    assert read_abilities(tmp_path / "d.safetensors") == read_abilities(weights_path("mp20"))
    joint = read_checkpoint(of_first_format(tmp_path / "j.safetensors", {"width": 8, "wyckoff_width": 64}))
    assert joint.settings == JointSettings(width=8), "the very first name no kind, and are of joint models"
    beside = {"kind": "joint", "width": 8, "wyckoff_networks": 2}
    joint = read_checkpoint(of_first_format(tmp_path / "j.safetensors", beside))
    assert joint.settings == JointSettings(width=8), "how many networks a staged model has says nothing of a joint one"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "joint", "aggregation": "mean"}, "model.aggregation = mean: this version computes with sum only"),
        ({"wyckoff_networks": 4}, "model.wyckoff_networks = 4: this version computes with 1 only"),
        ({"frequencies": -1}, "model.frequencies = -1: at least 1"),
        ({"width": 0}, "model.width = 0: at least 1"),
        ({"depth": 3}, "model.depth is not a setting"),
    ],
)
def test_what_the_first_format_could_and_this_version_cannot(tmp_path, change, message):
    path = of_first_format(tmp_path / "d.safetensors", FLAT | change)
    for read in (read_checkpoint, read_abilities):
        with pytest.raises(InputError, match="weights of another version of symmcd") as error:
            read(path)
        assert message in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _: None, "NoneType, expected AsymmetricUnits"),
        (lambda units: units.take([0, 1]), "2 of 3 crystals"),
        (lambda units: dataclasses.replace(units, k=units.k * np.nan), "crystal '7': the lattice is not a usable cell"),
        (lambda units: dataclasses.replace(units, position=units.position * np.nan), "crystal '7': orbit 0.*finite"),
        (lambda units: dataclasses.replace(units, element=units.element * 0 + 200), "element 200"),
        (lambda units: dataclasses.replace(units, wyckoff=units.wyckoff * 0), "crystal '.': .*Wyckoff row"),
    ],
)
def test_what_a_model_of_others_makes_is_looked_at(change, message):
    """Nobody looks at it later: `symmcd generate` writes it as it is."""
    units = random_units(3)
    plan = Plan(np.array([7, 8, 9]), units.space_group, np.diff(units.start), np.diff(units.start))
    np.testing.assert_allclose(checked_sample(units, plan, "other").position, units.position, rtol=0, atol=1e-9)
    with pytest.raises(SymmcdError, match=f"(?s)a 'other' model has sampled .*{message}.*fix it"):
        checked_sample(change(units), plan, "other")


# --- a model in one file, with one registration ----------------------------------------------------------------------


@pytest.fixture
def echo() -> Iterator[None]:
    MODELS.add("echo", ECHO)
    yield
    MODELS.remove("echo")


@pytest.mark.usefixtures("echo")
def test_a_model_of_ones_own_goes_through_the_whole_chain(tmp_path):
    settings = config.read_config({"model": {"kind": "echo", "kept": 3, "width": 64}})
    assert settings["model"] == EchoSettings(kept=3), "config.yaml's width is of another kind"
    assert not config.needs_gpu(settings["model"], settings["training"])
    units = random_units(20)
    for name in ("train", "val"):
        write_units(tmp_path / f"{name}.npz", units)
    files = tmp_path / "train.npz", tmp_path / "val.npz"
    train.run(*files, tmp_path, settings["model"], settings["training"], device="cpu")
    denoiser = tmp_path / "denoiser.safetensors"
    assert (tmp_path / "losses.csv").read_text() == "epoch,seconds\n"
    shards = [tmp_path / f"{shard}.npz" for shard in range(2)]
    for shard, path in enumerate(shards):
        sample.run(denoiser, path, shard, 2, SamplingSettings(number=7, batch_size=2), device="cpu")
    replicate.run(shards, tmp_path / "crystals", ReplicateSettings())
    found, expected = read_units(tmp_path / "crystals/units.npz"), units.take(np.arange(7) % 3)
    assert found.label.tolist() == numbered_labels(7)
    for name in ("space_group", "start", "element", "wyckoff"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    np.testing.assert_allclose(found.position, expected.position, atol=1e-9)

    generator = Generator.load(denoiser, "cpu")
    assert [unit.space_group for unit in generator.generate(4)] == units.space_group[[0, 1, 2, 0]].tolist()
    for asked in ({"elements": "O"}, {"temperature": 1.5}, {"proposals": 2}, {"steps": 2}):
        with pytest.raises(InputError, match=r"echo|trained with 1"):
            generator.generate(1, **asked)
    with pytest.raises(
        InputError, match=r"'echo' model does not support wishes .*composition; use a model of kind 'staged'"
    ):
        generator.predict("TiO2")


def test_a_model_of_an_installed_package(tmp_path):
    """Its entry point is all that symmcd knows of it, in every process of the chain."""
    shutil.copy(echo_model.__file__, tmp_path / "elsewhere.py")
    information = tmp_path / "elsewhere-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[symmcd.models]\necho = elsewhere:ECHO\n")
    write_units(tmp_path / "u.npz", random_units(20))
    for words in (
        "train u.npz u.npz --output run --set model.kind=echo --device cpu",
        "sample run/denoiser.safetensors --output s.npz --set sampling.number=5 --device cpu",
        "replicate s.npz --output crystals",
    ):
        subprocess.run(
            [sys.executable, "-m", "symmcd", *words.split()],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
            check=True,
            capture_output=True,
        )
    found, known = read_units(tmp_path / "crystals/units.npz"), random_units(20).take(range(5))
    assert found.label.tolist() == numbered_labels(5)
    assert found.wyckoff.tolist() == known.wyckoff.tolist()


def test_a_checkpoint_of_a_kind_that_is_not_installed_here(tmp_path):
    path = of_first_format(tmp_path / "d.safetensors", {"kind": "echo"})
    with pytest.raises(InputError, match="weights of a 'echo' model, which is unknown here; install"):
        Generator.load(path, "cpu")
