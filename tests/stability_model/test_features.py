"""Features of crystals without geometry: by hand, against Magpie's statistics, and the same for all descriptions."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.structures import random_units
from tools.make_element_properties import COLUMNS

from symmcd.crystallography import content
from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.normaliser import letter_permutations
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.metrics import magpie
from symmcd.stability.hull import ConvexHull, HullEntry
from symmcd.stability_model.elements import PROPERTIES, element_properties
from symmcd.stability_model.features import FEATURES, STATISTICS, features

HULL = ConvexHull(
    [HullEntry(element, 0.0, "elemental_reference", "test") for element in ("Na", "Cl", "O", "Ti")]
    + [HullEntry("NaCl", -2.1, "formation_energy", "test"), HullEntry("TiO2", -3.3, "formation_energy", "test")]
)


def named(units, log_probability=-10.0, hull=HULL) -> dict[str, float]:
    (row,) = features(units, np.full(len(units), log_probability), hull)
    return dict(zip(FEATURES, row.tolist(), strict=True))


def one(group, elements, letters, position) -> AsymmetricUnits:
    lattice = 5 * np.eye(3) if group >= 195 else np.diag([4.6, 4.6, 3.0])
    return AsymmetricUnits.from_units([AsymmetricUnit(group, lattice, elements, letters, position)])


def crystals(groups: list[int], seed: int) -> AsymmetricUnits:
    """One crystal a group, of any two elements."""
    units = random_units.random_units(groups, seed)
    return dataclasses.replace(units, element=np.random.default_rng(seed).integers(1, 104, len(units.element)))


def test_rock_salt_by_hand():
    found = named(one(225, ["Na", "Cl"], ("a", "b"), [[0, 0, 0], [0.5, 0.5, 0.5]]))
    expected = {
        "electronegativity_mean": (0.93 + 3.16) / 2, "electronegativity_min": 0.93, "electronegativity_max": 3.16,
        "electronegativity_deviation": (3.16 - 0.93) / 2, "group_mean": 9.0, "p_electrons_mean": 2.5,
        "share_of_halogens": 0.5, "share_of_alkali_metals": 0.5, "share_of_oxygen": 0.0,
        "elements": 2, "entropy": np.log(2), "largest_share": 0.5,
        "space_group": 225, "crystal_system": 7, "point_group_order": 48, "lattice_points": 4, "orbits": 2, "atoms": 2,
        "largest_orbit": 1, "positions": 2, "free_coordinates": 0, "free_lattice": 1, "fixed_share": 1.0,
        "general_share": 0.0, "site_order_anion": np.log2(48), "site_order_cation": np.log2(48),
        "hull_energy": -2.1, "hull_phases": 1, "hull_entries": 1,
        "log_probability": -10.0, "log_probability_per_orbit": -5.0,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_rutile_by_hand():
    found = named(one(136, ["Ti", "O"], ("a", "f"), [[0, 0, 0], [0.3, 0.3, 0]]))
    expected = {
        "crystal_system": 4, "point_group_order": 16, "atoms": 6, "largest_orbit": 4, "free_coordinates": 1,
        "free_lattice": 2, "fixed_share": 1 / 3, "site_order_anion": 2, "site_order_cation": 3, "largest_share": 2 / 3,
        "share_of_oxygen": 2 / 3, "share_of_transition_metals": 1 / 3, "hull_energy": -3.3,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_two_orbits_on_one_position_are_one_position():
    units = one(99, ["O", "O", "Ti"], ("a", "a", "b"), [[0, 0, 0.1], [0, 0, 0.4], [0.5, 0.5, 0.2]])
    assert [named(units)[name] for name in ("orbits", "positions", "free_coordinates")] == [3, 2, 3]


def test_statistics_are_magpies():
    units = crystals(list(range(1, 231)), seed=5)
    counts = content.amounts(units)
    theirs = magpie.composition_fingerprints(counts).reshape(len(units), len(magpie.PROPERTIES), magpie.STATISTICS)
    ours = features(units, np.zeros(len(units)), HULL)[:, : len(PROPERTIES) * len(STATISTICS)]
    ours = ours.reshape(len(units), len(PROPERTIES), len(STATISTICS))
    for index, name in enumerate(COLUMNS):
        expected = theirs[:, magpie.PROPERTIES.index(name)][:, [3, 0, 1, 4]]  # mean, minimum, maximum, deviation
        np.testing.assert_allclose(ours[:, index], expected, rtol=2e-5, atol=1e-6, err_msg=name)
    assert tuple(COLUMNS.values()) == PROPERTIES
    assert np.isnan(element_properties()[104:]).all()


def described_otherwise(units: AsymmetricUnits, rng: np.random.Generator) -> AsymmetricUnits:
    """Another origin and other axes of each crystal, as letters, and its orbits in another order."""
    table, wyckoff, order = wyckoff_table(), units.wyckoff.copy(), np.arange(len(units.wyckoff))
    for index, group in enumerate(units.space_group.tolist()):
        orbits = slice(units.start[index], units.start[index + 1])
        first = table.start[group - 1]
        permutation = rng.choice(letter_permutations(group))
        wyckoff[orbits] = first + permutation[units.wyckoff[orbits] - first]
        rng.shuffle(order[orbits])
    return dataclasses.replace(units, wyckoff=wyckoff[order], element=units.element[order])


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_features_are_the_same_for_every_description(seed):
    rng = np.random.default_rng(seed)
    units = crystals(rng.choice(np.arange(1, 231), 40).tolist(), seed)
    log_probability = -rng.random(40)
    other = described_otherwise(units, rng)
    assert content.arrangements(units) == content.arrangements(other)
    assert not np.array_equal(units.wyckoff, other.wyckoff)
    expected = features(units, log_probability, HULL)
    np.testing.assert_allclose(features(other, log_probability, HULL), expected, rtol=1e-9, atol=1e-9)
    rows = rng.permutation(40)[:7]  # and whatever crystals are beside
    np.testing.assert_allclose(features(units.take(rows), log_probability[rows], HULL), expected[rows], atol=1e-9)


def test_what_has_no_value_is_nan():
    argon = named(one(225, ["Ar"], ("a",), [[0, 0, 0]]))
    assert np.isnan(argon["electronegativity_mean"])
    assert np.isnan(argon["hull_energy"]), "no reference of argon"
    assert argon["covalent_radius_mean"] == 106
    assert argon["orbits"] == 1
    assert np.isfinite(list(named(one(225, ["Na"], ("a",), [[0, 0, 0]])).values())).all()
    assert features(AsymmetricUnits.empty(), np.zeros(0), HULL).shape == (0, len(FEATURES))
    assert len(set(FEATURES)) == len(FEATURES)


def test_no_torch():
    code = (
        "import sys, symmcd.stability_model.features, symmcd.stability_model.materials; print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
