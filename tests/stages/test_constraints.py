"""Constraints on generated crystals, from weights to files."""

from __future__ import annotations

import csv
from collections import Counter

import numpy as np
import pytest

import symmcd
from symmcd.crystallography.space_group import lattice_points
from symmcd.diffusion.generator import Generator
from symmcd.errors import InputError
from symmcd.settings import SamplingSettings, read_section
from symmcd.stages import generate, sample
from symmcd.storage import read_units


def test_only_the_elements_asked_for(denoiser, tmp_path):
    generator = Generator.load(denoiser, "cpu")
    units = generator.generate(40, seed=1, steps=2, elements=(8, 26))
    assert set(np.concatenate([unit.element for unit in units])) == {8, 26}
    with pytest.raises(InputError, match=r"Li, U: not in the training set of this model \(atomic numbers \[3, 92\]\)"):
        generator.generate(1, elements=(3, 8, 92))
    with pytest.raises(InputError, match="--elements: 'Fs': no such element"):
        generate.run(tmp_path, 2, denoiser, constraints={"elements": ("Fe", "Fs")})
    assert not list(tmp_path.iterdir())
    few = {"checkpoint": denoiser, "device": "cpu", "steps": 2, "proposals": 1}
    generate.run(tmp_path, 40, constraints={"exclude": "O,22,Xe"}, **few)
    assert set(read_units(tmp_path / "units.npz").element) == {11, 26, 38, 57}
    generate.run(tmp_path, 9, constraints={"elements": ("O", "Fe"), "exclude": ("O",)}, **few)
    assert set(read_units(tmp_path / "units.npz").element) == {26}
    with pytest.raises(InputError, match="no element is left"):
        generate.run(tmp_path, 9, constraints={"elements": ("O",), "exclude": ("O",)}, **few)


def test_a_chemical_system_has_each_of_its_elements(denoiser, tmp_path, monkeypatch):
    few = {"checkpoint": denoiser, "device": "cpu", "steps": 2, "proposals": 1}
    generate.run(tmp_path / "12", 12, constraints={"chemical_system": ("O", "Ti", "Fe")}, **few)
    generate.run(tmp_path / "30", 30, constraints={"chemical_system": "Fe-O-22-O"}, **few)
    fewer, more = (read_units(tmp_path / number / "units.npz") for number in ("12", "30"))
    assert all(set(unit.element.tolist()) == {8, 22, 26} for unit in (more[i] for i in range(30)))
    for index in range(12):
        np.testing.assert_array_equal(fewer[index].element, more[index].element)
        assert fewer[index].letter == more[index].letter
    generator = Generator.load(denoiser, "cpu")
    monkeypatch.setattr("symmcd.diffusion.drafting.ATTEMPTS", 2)  # elements are drawn so that none is left out
    for unit in generator.generate(30, 221, chemical_system=generator.elements, steps=2):
        assert sorted(set(unit.element.tolist())) == generator.elements
    with pytest.raises(InputError, match="no element given"):
        generator.generate(3, chemical_system="-")
    with pytest.raises(InputError, match="and no others, but also no Fe: these contradict each other in Fe"):
        generate.run(tmp_path, 3, constraints={"chemical_system": ("O", "Fe"), "exclude": ("Fe",)}, **few)


def test_no_more_atoms_than_asked_for(denoiser, tmp_path):
    """What is left is as frequent as it was: shares of groups are those of crystals drawn freely and thrown away."""
    generator = Generator.load(denoiser, "cpu")
    few = {"checkpoint": denoiser, "device": "cpu", "steps": 2, "proposals": 1}
    generate.run(tmp_path, 25, constraints={"max_atoms": 8, "elements": ("O", "Fe")}, **few)
    with (tmp_path / "crystals.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 25
    assert max(int(row["atoms_primitive"]) for row in rows) <= 8
    for unit in generator.generate(20, seed=1, steps=2, proposals=1, max_atoms=6):
        assert len(symmcd.replicate(unit).get_primitive_structure()) <= 6
    free, limited = (generator.generate(600, steps=1, proposals=1, max_atoms=n) for n in (10_000, 12))
    atoms = [len(symmcd.replicate(unit)) // lattice_points(unit.space_group) for unit in free]
    kept = Counter(unit.space_group for unit, n in zip(free, atoms, strict=True) if n <= 12)
    assert 50 < kept.total() < 500
    found = Counter(unit.space_group for unit in limited)
    for group in kept | found:
        shares = kept[group] / kept.total(), found[group] / 600
        error = (shares[0] * (1 - shares[0]) / kept.total() + shares[1] * (1 - shares[1]) / 600) ** 0.5
        assert abs(shares[0] - shares[1]) < 5 * error + 0.01
    with pytest.raises(InputError, match=r"no crystal can have .* at most 1 atoms in its primitive cell"):
        generator.generate(30, 14, max_atoms=1, steps=2)  # its smallest orbits have two
    with pytest.raises(InputError, match="at least 1"):
        generator.generate(3, max_atoms=0)


def test_the_chain_takes_wishes_and_shards_change_nothing(denoiser, tmp_path):
    """Stage sample with sampling.constraints: whole, in two shards, and as `generate` makes them."""
    wishes = {"elements": "O,Fe", "orbits": "2-4", "space_group": [14, 62, 225], "density": "0.1-20"}
    settings = SamplingSettings(number=11, steps=2, proposals=1, batch_size=4, constraints=wishes)
    sample.run(denoiser, tmp_path / "whole.npz", 0, 1, settings, seed=5, device="cpu")
    whole = read_units(tmp_path / "whole.npz")
    for shard in (0, 1):
        sample.run(denoiser, tmp_path / f"{shard}.npz", shard, 2, settings, seed=5, device="cpu")
        part = read_units(tmp_path / f"{shard}.npz")
        for own, row in enumerate(range(shard, 11, 2)):
            assert part[own].letter == whole[row].letter
            np.testing.assert_array_equal(part[own].element, whole[row].element)
            np.testing.assert_allclose(part[own].lattice, whole[row].lattice, atol=1e-4)
    made = Generator.load(denoiser, "cpu").generate(11, seed=5, steps=2, proposals=1, **wishes)
    for row in range(11):
        assert (made[row].letter, made[row].space_group) == (whole[row].letter, whole[row].space_group)
        assert set(whole[row].element.tolist()) <= {8, 26}
        assert 2 <= len(whole[row].element) <= 4


def test_no_wishes_leave_samples_as_they_were(denoiser, tmp_path):
    """Groups as a wish, and as the setting of old, are the same request; none is the free model."""
    few = {"number": 6, "steps": 2, "proposals": 1}
    cases = ({"space_groups": (14, 62)}, {"constraints": {"space_group": "14,62"}}, {}, {"constraints": {}})
    for name, case in enumerate(cases):
        sample.run(denoiser, tmp_path / f"{name}.npz", 0, 1, SamplingSettings(**few, **case), seed=2, device="cpu")
    content = [(tmp_path / f"{name}.npz").read_bytes() for name in range(len(cases))]
    assert content[0] == content[1] != content[2] == content[3]


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"atom": 4}, "sampling.constraints.atom: no constraint named 'atom'; did you mean 'atoms'"),
        ({"atoms": "few"}, "sampling.constraints.atoms: 'few': expected a whole number or a range from 1 to 200"),
        ({"polar": 3}, "sampling.constraints.polar: 3: this wish takes no value"),
        ({"elements": {"Li": 1}}, "sampling.constraints.elements"),
        (["polar"], "sampling.constraints = ['polar']: expected a mapping, got list"),
    ],
)
def test_wishes_are_checked_with_the_settings(wishes, message):
    with pytest.raises(InputError) as refused:
        read_section("sampling", {"constraints": wishes})
    assert message in str(refused.value)
