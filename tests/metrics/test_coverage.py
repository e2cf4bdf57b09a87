"""Coverage by hand and against scipy; MP-20 against itself, one part against another, and controls that must be bad."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.content import densities, number_of_elements
from symmcd.crystallography.orbit import replicate_flat
from symmcd.metrics.coverage import Coverage, add_coverage, coverage
from symmcd.metrics.fingerprints import Fingerprints, fingerprints_of_units
from symmcd.metrics.magpie import Scale
from symmcd.metrics.of_set.distributions import wasserstein
from symmcd.metrics.validity import composition_verdict
from symmcd.structures.convert import crystals_to_structures
from tests.metrics.mp20 import mp20_units

UNIT = Scale(np.zeros(132), np.ones(132))


def fingerprints(structure: list[float], composition: list[float], outcome: list[str] | None = None) -> Fingerprints:
    """Fingerprints with one entry that differs."""
    number = len(structure)
    rows = np.zeros((number, 61)), np.zeros((number, 132))
    rows[0][:, 0], rows[1][:, 0] = structure, composition
    text = np.array([str(i) for i in range(number)])
    return Fingerprints(text, *rows, np.array(outcome or ["ok"] * number), np.full(number, ""))


def test_by_hand() -> None:
    """Crystal 0: one reference crystal is near in structure, another in composition.  Crystal 1: one in both."""
    found = coverage(fingerprints([0, 5], [0, 50]), fingerprints([0.3, 9, 5.2, 20], [99, 8, 52, 300]), UNIT)
    assert found.precise.tolist() == [True, True]
    assert found.precise_strict.tolist() == [False, True]
    assert found.recalled.tolist() == [False, False, True, False]
    assert found.recalled_strict.tolist() == [False, False, True, False]
    assert found.structure_distance == pytest.approx([0.3, 0.2])
    assert found.composition_distance == pytest.approx([8, 2])


def test_the_cutoff_belongs_to_it() -> None:
    one = coverage(fingerprints([0], [0]), fingerprints([0.4], [10]), UNIT, 0.4 + 1e-9, 10 + 1e-9)
    assert one.precise.all()
    assert not coverage(fingerprints([0], [0]), fingerprints([0.41], [10]), UNIT).precise.any()
    assert not coverage(fingerprints([0], [0]), fingerprints([0.4], [10.1]), UNIT).precise.any()


def test_misses_are_counted_on_both_sides() -> None:
    ours = fingerprints([0, 0], [0, 0], ["ok", "timed_out"])
    theirs = fingerprints([0, 0, 0], [0, 0, 0], ["ok", "atoms_coincide", "ok"])
    found = coverage(ours, theirs, UNIT)
    assert (found.precise.tolist(), found.recalled.tolist()) == ([True, False], [True, False, True])
    assert (found.missed, np.isnan(found.structure_distance).tolist()) == (1, [False, True])


@pytest.mark.parametrize(("ours", "theirs"), [([], [0.0]), ([0.0], [])])
def test_nothing_covers_nothing(ours: list[float], theirs: list[float]) -> None:
    found = coverage(fingerprints(ours, ours), fingerprints(theirs, theirs), UNIT)
    assert (len(found.precise), len(found.recalled)) == (len(ours), len(theirs))
    assert not found.precise.any()
    assert not found.recalled.any()


def test_distances_are_scipys() -> None:
    rng = np.random.default_rng(0)
    sets = [
        Fingerprints(
            np.full(n, ""), rng.normal(size=(n, 61)) / 20, rng.normal(size=(n, 132)), np.full(n, "ok"), np.full(n, "")
        )
        for n in (1100, 70)
    ]
    scale = Scale.of(sets[1].composition)
    found = coverage(*sets, scale, 0.55, 15.0)
    structure = cdist(sets[0].structure, sets[1].structure)
    composition = cdist(scale.apply(sets[0].composition), scale.apply(sets[1].composition))
    assert found.structure_distance == pytest.approx(structure.min(axis=1))
    assert found.composition_distance == pytest.approx(composition.min(axis=1))
    near = (structure.min(axis=0) <= 0.55) & (composition.min(axis=0) <= 15)
    assert (found.recalled == near).all()
    assert (found.precise_strict == ((structure <= 0.55) & (composition <= 15)).any(axis=1)).all()
    assert found.recalled.mean() > 0


def test_columns_of_each_crystal() -> None:
    ours = fingerprints([0, 0], [0, 0], ["ok", "crashed"])
    table = pd.DataFrame({"id": ["0", "1"]})
    add_coverage(table, ours, coverage(ours, fingerprints([0.1], [3]), UNIT))
    assert table["fingerprint"].tolist() == ["ok", "crashed"]
    assert table["covered"].tolist() == [True, False]
    assert table["structure_distance"][0] == pytest.approx(0.1)


@pytest.fixture(scope="module")
def test_set() -> tuple[AsymmetricUnits, Fingerprints]:
    units = mp20_units("test", 200)
    return units, fingerprints_of_units(units, None, 1, 60)


def against(units: AsymmetricUnits, test_set: tuple[AsymmetricUnits, Fingerprints]) -> Coverage:
    return coverage(fingerprints_of_units(units, None, 1, 60), test_set[1], Scale.of(test_set[1].composition))


def test_the_test_set_covers_itself(test_set: tuple[AsymmetricUnits, Fingerprints]) -> None:
    found = against(test_set[0], test_set)
    for name in ("recalled", "precise", "recalled_strict", "precise_strict"):
        assert getattr(found, name).all(), name
    assert found.structure_distance.max() < 1e-6
    assert found.composition_distance.max() < 1e-5


def test_validation_crystals_cover_test_crystals(test_set: tuple[AsymmetricUnits, Fingerprints]) -> None:
    """200 against 200; with all 9,047 recall and precision are near 1 (bench/fingerprints.md)."""
    units = mp20_units("val", 200)
    found = against(units, test_set)
    assert found.recalled.mean() > 0.8
    assert found.precise.mean() > 0.85
    assert wasserstein(densities(units), densities(test_set[0])) < 0.6
    assert wasserstein(number_of_elements(units), number_of_elements(test_set[0])) < 0.25


def test_shuffled_species_score_badly(test_set: tuple[AsymmetricUnits, Fingerprints]) -> None:
    """Every orbit gets the element of another crystal's: charges no longer balance, environments are not the same."""
    units = mp20_units("val", 200)
    control = dataclasses.replace(units, element=np.random.default_rng(0).permutation(units.element))
    real, shuffled = against(units, test_set), against(control, test_set)
    assert shuffled.precise_strict.mean() < 0.6 * real.precise_strict.mean()
    assert shuffled.recalled_strict.mean() < 0.6 * real.recalled_strict.mean()
    valid = [
        np.mean([composition_verdict(s.composition.reduced_formula, 10.0) == "valid" for s in structures])
        for structures in (crystals_to_structures(replicate_flat(u)) for u in (units, control))
    ]
    assert valid[0] > 0.85
    assert valid[1] < 0.75
    assert wasserstein(number_of_elements(control), number_of_elements(units)) > 0.25
