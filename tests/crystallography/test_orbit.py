"""Replication and reduction: orbits, the 28 textbook prototypes, made-up crystals, real crystals."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from symmcd import reduce, replicate
from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.decode import decode
from symmcd.crystallography.lattice import constrain, free_coefficients, lattice_from_k
from symmcd.crystallography.orbit import in_unit_cell, replicate_flat
from symmcd.crystallography.space_group import operations
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.errors import InputError
from tests.crystallography.prototypes import PROTOTYPES, prototype

TABLE = wyckoff_table()
TIGHT = StructureMatcher(ltol=0.01, stol=0.01, angle_tol=0.5)
MP20 = os.environ.get("SYMMCD_MP20")


def assert_round_trip(structure: Structure, space_group: int) -> AsymmetricUnit:
    unit = reduce(structure)
    made = replicate(unit)
    assert unit.space_group == space_group
    assert made.composition.reduced_composition.almost_equals(structure.composition.reduced_composition)
    assert TIGHT.fit(structure, made)
    assert SpacegroupAnalyzer(made, symprec=1e-4).get_space_group_number() == space_group
    return unit


@pytest.mark.parametrize("name", PROTOTYPES)
def test_textbook_prototypes(name: str) -> None:
    structure = prototype(name)
    number, _, sites = PROTOTYPES[name]
    unit = assert_round_trip(structure, number)
    assert len(unit.element) == len(sites)
    assert unit.number_of_atoms == len(structure)


@pytest.mark.parametrize("name", ["TiO2 rutile", "Al2O3", "MgAl2O4", "ZnO", "TiNiSi", "CoAs3", "MgZn2"])
def test_any_cell_of_a_crystal_gives_the_same_one_back(name: str) -> None:
    """Supercell, rotation and shifted origin of the same crystal."""
    rng = np.random.default_rng(0)
    structure = prototype(name).get_primitive_structure()
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    moved = Structure(
        Lattice(structure.lattice.matrix @ rotation), structure.species, structure.frac_coords + rng.random(3)
    )
    moved.make_supercell([[1, 1, 0], [0, 1, 0], [0, 1, 2]])
    assert_round_trip(moved, PROTOTYPES[name][0])


def random_unit(seed: int, number: int, orbits: int) -> AsymmetricUnit:
    """A unit with distinct elements on random positions, none without freedom twice."""
    rng = np.random.default_rng(seed)
    rows = np.arange(TABLE.start[number - 1], TABLE.start[number])
    general = rows[-1]
    chosen = rng.permutation(rows[:-1])[: orbits - 1].tolist() + [general]
    point = TABLE.generator[chosen, :, :3] @ rng.uniform(0.05, 0.45, (len(chosen), 3, 1))
    position = (point[..., 0] + TABLE.generator[chosen, :, 3]) % 1
    k = constrain(rng.normal(0, 0.1, (1, 6)) + [0, 0, 0, 0, 0, 2.6], np.array([number]))
    element, letter = rng.permutation(np.arange(3, 80))[: len(chosen)], tuple(TABLE.letter[chosen])
    try:
        return AsymmetricUnit(number, lattice_from_k(k)[0], element, letter, position)
    except InputError as error:  # a random point within 0.01 Å of a more symmetric position, now and then
        if "more symmetric position" not in str(error):
            raise
        reject()


@given(st.integers(1, 230), st.integers(0, 10_000), st.integers(1, 4))
@settings(max_examples=80, deadline=None)
def test_orbit_is_every_operation_applied_and_merged(number: int, seed: int, orbits: int) -> None:
    unit = random_unit(seed, number, orbits)
    crystal = replicate_flat(AsymmetricUnits.from_units([unit]))
    group = operations(number)
    for i, point in enumerate(unit.position):
        full = (group[:, :, :3] @ point + group[:, :, 3]) % 1
        difference = full[:, None] - full[None]
        same = (np.abs(difference - np.rint(difference)) < 1e-7).all(axis=2)
        merged = full[same.argmax(axis=1) == np.arange(len(full))]
        made = crystal.position[crystal.orbit == i]
        gap = made[:, None] - merged[None]
        assert len(made) == len(merged) == unit.multiplicity[i]
        assert (np.abs(gap - np.rint(gap)).max(axis=2).min(axis=0) < 1e-7).all()
        assert (np.abs(gap - np.rint(gap)).max(axis=2).min(axis=1) < 1e-7).all()


@given(st.integers(1, 230), st.integers(0, 10_000), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_replicated_crystals_have_their_group_or_a_supergroup(number: int, seed: int, orbits: int) -> None:
    """And reducing what was made gives a crystal that matches it."""
    unit = random_unit(seed, number, orbits)
    if unit.number_of_atoms > 200:
        return
    made = replicate(unit)
    distances = made.distance_matrix + 9 * np.eye(len(made))
    if distances.min() < 0.8:  # a random point near a mirror: two atoms almost coincide and symprec would merge them
        return
    again = reduce(made, symprec=1e-3)
    primitive = len(operations(number)) / made.volume
    assert len(operations(again.space_group)) / replicate(again).volume >= primitive * (1 - 1e-6)
    assert again.number_of_atoms / replicate(again).volume == pytest.approx(len(made) / made.volume)
    assert TIGHT.fit(made, replicate(again))


@pytest.mark.skipif(MP20 is None, reason="needs MP-20: set SYMMCD_MP20 to a folder with val.csv.gz")
def test_round_trip_of_300_real_crystals() -> None:
    """bench/round_trip.py does all 18,093 of val and test."""
    assert MP20 is not None
    with gzip.open(Path(MP20) / "val.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))[::30][:300]
    for row in rows:
        structure = Structure.from_str(row["cif"], fmt="cif")
        unit = reduce(structure)
        made = replicate(unit)
        assert made.composition.reduced_composition.almost_equals(structure.composition.reduced_composition), row[
            "material_id"
        ]
        # the crystal is idealised within 0.1 Å, so the matcher allows for that and no more
        rms = StructureMatcher(ltol=0.05, stol=0.1, angle_tol=2, attempt_supercell=False).get_rms_dist(structure, made)
        assert rms is not None, row["material_id"]
        assert SpacegroupAnalyzer(made, symprec=1e-3).get_space_group_number() == unit.space_group, row["material_id"]


@given(st.lists(st.integers(1, 230), min_size=1, max_size=4), st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_unit_cells_are_the_same_crystals_without_symmetry(numbers: list[int], seed: int) -> None:
    """One by one against pymatgen's cells; decoding, whatever k of group 1, leaves them as they are."""
    units = AsymmetricUnits.from_units([random_unit(seed, number, 3) for number in numbers])
    units = dataclasses.replace(units, properties={"e_above_hull": np.arange(len(units)) / 10})
    cells = in_unit_cell(units)
    assert list(cells.label) == list(units.label)
    assert cells.properties == units.properties
    assert free_coefficients()[cells.space_group - 1].all()
    for i in range(len(units)):
        before, after = replicate(units[i]), replicate(cells[i])
        assert set(cells[i].letter) == {"a"}
        assert cells[i].space_group == 1
        assert cells[i].composition == units[i].composition
        assert len(cells[i].element) == len(after) == len(before)
        assert after.lattice.parameters == pytest.approx(before.lattice.parameters)
        np.testing.assert_array_equal(after.atomic_numbers, before.atomic_numbers)
        np.testing.assert_allclose(after.distance_matrix, before.distance_matrix, atol=1e-9)
    code = TABLE.site_symmetry[cells.wyckoff]
    again = decode(cells.space_group, cells.k, cells.element, cells.position, code, cells.start)
    np.testing.assert_allclose(again.k, cells.k)
    np.testing.assert_allclose(again.position, cells.position, atol=1e-12)


def test_disordered_crystals_are_refused() -> None:
    structure = Structure(Lattice.cubic(4), [{"Na": 0.5, "K": 0.5}], [[0, 0, 0]])
    with pytest.raises(InputError, match="disordered"):
        reduce(structure)


def test_atoms_on_top_of_each_other_are_refused() -> None:
    structure = Structure(Lattice.cubic(4), ["Na", "Na", "Cl"], [[0, 0, 0], [0, 0, 1e-4], [0.5, 0.5, 0.5]])
    with pytest.raises(InputError, match="redundant"):
        reduce(structure)


def test_wrong_letters_are_refused() -> None:
    with pytest.raises(InputError, match="no Wyckoff position 'q'"):
        AsymmetricUnit(2, np.eye(3) * 4, np.array([11]), ("q",), np.zeros((1, 3)))


def test_flat_units_come_apart_and_together() -> None:
    units = AsymmetricUnits.from_units([random_unit(i, n, 3) for i, n in enumerate((1, 62, 194, 225))])
    shuffled = units.take([2, 0, 3, 1])
    assert shuffled[0].template == units[2].template
    joined = AsymmetricUnits.concatenate([units.take([0, 1]), units.take([2]), units.take([3])])
    for name in ("space_group", "k", "start", "element", "wyckoff", "position"):
        assert np.array_equal(getattr(joined, name), getattr(units, name))
    assert joined.number_of_atoms.tolist() == [units[i].number_of_atoms for i in range(4)]
