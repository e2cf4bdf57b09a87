"""A checkpoint comes back whole, says where it is from, and a broken one says so."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open

from symmcd.diffusion.abilities import weights_path
from symmcd.diffusion.checkpoint import data_sha256, read_checkpoint, read_part, write_checkpoint, write_part
from symmcd.diffusion.data_statistics import DataStatistics
from symmcd.diffusion.denoiser import Denoiser
from symmcd.diffusion.generator import Generator
from symmcd.errors import InputError
from symmcd.storage import write_tensors
from tests.diffusion.crystals import SMALL, random_units


@pytest.fixture
def path(tmp_path):
    torch.manual_seed(1)
    denoiser = Denoiser(SMALL)
    for parameter in denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    statistics = DataStatistics.of(random_units(50))
    write_checkpoint(tmp_path / "d.safetensors", denoiser.state_dict(), statistics.tensors(), SMALL, {"seed": 5})
    return tmp_path / "d.safetensors"


def test_everything_comes_back(path):
    torch.manual_seed(1)
    denoiser = Denoiser(SMALL)
    for parameter in denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    found = read_checkpoint(path)
    assert found.settings == SMALL
    assert found.metadata["seed"] == 5
    assert found.metadata["versions"]["torch"] == torch.__version__
    for name, value in DataStatistics.of(random_units(50)).tensors().items():
        torch.testing.assert_close(found.statistics.tensors()[name], value, rtol=0, atol=0)
    assert found.weights.keys() == denoiser.state_dict().keys()
    for name, value in denoiser.state_dict().items():
        torch.testing.assert_close(found.weights[name], value, rtol=0, atol=0)
    with safe_open(path, framework="numpy") as file:
        assert json.loads(file.metadata()["symmcd"])["model"]["width"] == 32


def test_broken_checkpoints(path, tmp_path):
    whole = path.read_bytes()
    for size in (0, 5, 500, len(whole) - 1):
        (tmp_path / "cut.safetensors").write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"cut\.safetensors: not a readable safetensors file, or incomplete"):
            Generator.load(tmp_path / "cut.safetensors", "cpu")
    write_tensors(tmp_path / "other.safetensors", {"a": np.zeros(3)}, {})
    with pytest.raises(InputError, match="not a denoiser of symmcd"):
        read_checkpoint(tmp_path / "other.safetensors")
    with safe_open(path, framework="numpy") as file:
        text = dict(file.metadata())
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del arrays["weights/norm.weight"]
    write_tensors(tmp_path / "less.safetensors", arrays, text)
    with pytest.raises(InputError, match=r"do not fit its settings(.|\n)*norm.weight"):
        Generator.load(tmp_path / "less.safetensors", "cpu")
    with pytest.raises(InputError, match="no such file"):
        read_checkpoint(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("symmcd", None),
        ("symmcd", "{"),
        ("symmcd", "[]"),
        ("symmcd", "null"),
        ("symmcd", "[" * 200_000),
        ("symmcd", '{"model": 3}'),
        ("symmcd", "{}"),
        ("symmcd", '{"model": {"widht": 3}}'),
        ("symmcd", '{"model": {"width": "x"}}'),
        ("symmcd", '{"model": {"width": ' + "9" * 5000 + "}}"),
        ("statistics/lattice_mean", None),
        ("statistics/lattice_mean", np.zeros(5, np.float32)),
        ("statistics/lattice_mean", np.zeros((6, 1), np.float32)),
        ("statistics/lattice_mean", np.zeros(6, int)),
        ("statistics/lattice_std", np.full(6, np.nan, np.float32)),
        ("statistics/orbit_count", np.zeros(230, np.float32)),
        ("statistics/site_symmetry_marginal", np.zeros((230, 13, 15), np.float32)),
    ],
)
def test_a_damaged_part_is_named_with_its_file(path, tmp_path, key, text):
    with safe_open(path, framework="numpy") as file:
        metadata = dict(file.metadata())
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    place = arrays if "/" in key else metadata
    del place[key]
    if text is not None:
        place[key] = text
    write_tensors(tmp_path / "x.safetensors", arrays, metadata)
    with pytest.raises(InputError, match=r"x\.safetensors: ") as error:
        read_checkpoint(tmp_path / "x.safetensors")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600


def test_a_damaged_part_of_a_staged_model_is_named(tmp_path):
    path = tmp_path / "weights.safetensors"
    write_part(path, {"a": torch.zeros(2)}, {"epochs": 3}, "print")
    assert read_part(path, "print")[1] == {"epochs": 3}
    assert read_part(path, "other") is None
    for metadata in ({"done": "{"}, {"done": "3"}, {}):
        write_tensors(path, {"a": np.zeros(2)}, {"format": "symmcd part 1", "fingerprint": "print", **metadata})
        with pytest.raises(InputError, match=r"weights\.safetensors: damaged"):
            read_part(path, "print")
    write_tensors(path, {"a": np.zeros(2)}, {"format": "symmcd part 1"})
    assert read_part(path, "print") is None


def test_data_hash_depends_on_crystals_and_not_on_types():
    units = random_units(20)
    assert data_sha256(units) == data_sha256(random_units(20))
    assert data_sha256(units) != data_sha256(units.take(range(19)))
    smaller = units.take(range(20))
    object.__setattr__(smaller, "element", smaller.element.astype(np.int32))
    assert data_sha256(smaller) == data_sha256(units)


def test_generator(path):
    generator = Generator.load(path, "cpu")
    units = generator.generate(9, 100, seed=2)  # a group that no training crystal has
    assert [unit.space_group for unit in units] == [100] * 9
    again = generator.generate(12, 100, seed=2, batch_size=2)
    for a, b in zip(units, again, strict=False):
        assert a.letter == b.letter
        np.testing.assert_array_equal(a.element, b.element)
        np.testing.assert_allclose(a.position, b.position, atol=1e-4)
        np.testing.assert_allclose(a.lattice, b.lattice, rtol=1e-4)
    assert {unit.space_group for unit in generator.generate(40)} > {225}
    with pytest.raises(InputError, match="at least 1"):
        generator.generate(0)
    with pytest.raises(InputError, match="231"):
        generator.generate(1, 231)
    with pytest.raises(InputError, match="trained with 20"):
        generator.generate(1, steps=21)


def test_a_checkpoint_of_the_first_format_can_be_written_again(tmp_path):
    shipped = read_checkpoint(weights_path("mp20"))  # it names settings that no model has any more
    again = tmp_path / "d.safetensors"
    kept = shipped.statistics.tensors() | shipped.tensors
    write_checkpoint(again, shipped.weights, kept, shipped.settings, shipped.metadata)
    assert read_checkpoint(again).settings == shipped.settings
