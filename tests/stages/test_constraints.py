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
from symmcd.stages import generate
from symmcd.storage import read_units


def test_only_the_elements_asked_for(denoiser, tmp_path):
    generator = Generator.load(denoiser, "cpu")
    units = generator.generate(40, seed=1, steps=2, elements=(8, 26))
    assert set(np.concatenate([unit.element for unit in units])) == {8, 26}
    with pytest.raises(InputError, match=r"atomic numbers \[3, 92\] are not in the training set"):
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
    with pytest.raises(InputError, match="none named"):
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
