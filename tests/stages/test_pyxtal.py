"""PyXtal's random crystals as a model: from the training set to replicated crystals."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import spglib
from tests.crystallography.prototypes import prototype

import symmcd
from symmcd import InputError, SymmcdError
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.orbit import replicate_flat
from symmcd.crystallography.space_group import lattice_points, operations
from symmcd.diffusion.generator import Generator
from symmcd.diffusion.pyxtal_model import PyXtalSettings
from symmcd.settings import ReplicateSettings, SamplingSettings, TrainingSettings
from symmcd.stages import replicate, sample, train
from symmcd.storage import read_units, write_units

NAMES = "NaCl", "CsCl", "SrTiO3", "CdI2", "CrB", "FeS2", "TiO2 rutile", "ThCr2Si2", "ZnO", "TiNiSi"
SAMPLING = SamplingSettings(number=24, batch_size=16)


@pytest.fixture(scope="module")
def units():
    return AsymmetricUnits.from_units([symmcd.reduce(prototype(name)) for name in NAMES])


def trained(folder, units, **settings):
    write_units(folder / "units.npz", units)
    data = folder / "units.npz", folder / "units.npz"
    train.run(*data, folder, PyXtalSettings(**settings), TrainingSettings(), device="cpu")
    return folder / "denoiser.safetensors"


@pytest.fixture(scope="module")
def denoiser(tmp_path_factory, units):
    return trained(tmp_path_factory.mktemp("pyxtal"), units)


@pytest.fixture(scope="module")
def crystals(denoiser):
    """Of the stages `sample`, in two shards, and `replicate`."""
    folder = denoiser.parent
    for shard in range(2):
        sample.run(denoiser, folder / f"{shard}.npz", shard, 2, SAMPLING, seed=3, device="cpu")
    replicate.run([folder / "0.npz", folder / "1.npz"], folder / "crystals", ReplicateSettings())
    return read_units(folder / "crystals" / "units.npz")


def primitive_contents(unit):
    return tuple(sorted((element, n // lattice_points(unit.space_group)) for element, n in unit.composition.items()))


def test_groups_and_compositions_are_those_of_the_training_set(units, crystals):
    known = {(unit.space_group, tuple(sorted(unit.composition.items()))) for unit in units}
    made = [(unit.space_group, tuple(sorted(unit.composition.items()))) for unit in crystals]
    assert len(made) == 24
    assert set(made) <= known
    assert len(set(made)) > 5


def test_crystals_have_the_operations_of_their_groups(crystals):
    """As spglib finds them; where coordinates are not free it may find more, of a supergroup."""
    cells = replicate_flat(crystals)
    for i in range(len(crystals)):
        atoms = slice(cells.start[i], cells.start[i + 1])
        cell = cells.lattice[i], cells.position[atoms], cells.element[atoms]
        found = spglib.get_symmetry(cell, symprec=1e-3)
        assert found is not None
        for operation in operations(int(crystals.space_group[i])):
            alike = (found["rotations"] == operation[:, :3]).all(axis=(1, 2))
            shift = found["translations"][alike] - operation[:, 3]
            assert (np.abs(shift - shift.round()) < 1e-3).all(axis=1).any()


def test_the_same_seed_gives_the_same_crystals_in_any_batch(denoiser, crystals):
    generator = Generator.load(denoiser, "cpu")
    again = AsymmetricUnits.from_units(generator.generate(9, seed=3, batch_size=2))
    for name in ("space_group", "wyckoff", "element", "k", "position"):
        np.testing.assert_allclose(getattr(again, name), getattr(crystals.take(np.arange(9)), name), atol=1e-12)
    other = AsymmetricUnits.from_units(generator.generate(9, seed=4))
    assert len(other.element) != len(again.element) or not np.array_equal(other.position, again.position)


def test_a_group_that_the_training_set_lacks_is_filled_with_what_fits(denoiser, units, capsys):
    """Contents of a primitive cell stay what they were; those that the group has no positions for are drawn again."""
    made = Generator.load(denoiser, "cpu").generate(12, "P2_1/c", seed=1)
    assert [unit.space_group for unit in made] == [14] * 12
    assert {primitive_contents(unit) for unit in made} <= {primitive_contents(unit) for unit in units}
    assert "{'not_arranged': " in capsys.readouterr().err  # one atom of Sr, and P2_1/c has no position of one


def test_a_search_that_takes_too_long_is_ended_and_counted(tmp_path, units):
    denoiser = trained(tmp_path, units, seconds=1e-4, attempts=2)
    with pytest.raises(SymmcdError, match=r"3 of 3 crystals: PyXtal has found no arrangement in 2 attempts.*timed_out"):
        Generator.load(denoiser, "cpu").generate(3)


def test_what_pyxtal_cannot_be_asked_for(denoiser):
    generator = Generator.load(denoiser, "cpu")
    for asked in ({"elements": "Na,Cl"}, {"temperature": 2.0}, {"proposals": 4}):
        with pytest.raises(InputError, match="pyxtal"):
            generator.generate(1, **asked)


def test_without_pyxtal_it_is_said_how_to_install_it(tmp_path, units, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pyxtal" else found(name))
    with pytest.raises(InputError, match=r"pip install 'symmcd\[pyxtal\]'"):
        trained(tmp_path, units)
