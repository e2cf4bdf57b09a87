"""Asymmetric units, one and many: what they are made of, and what is no crystal."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.lattice import constrain
from symmcd.crystallography.orbit import replicate_flat
from symmcd.errors import InputError
from tests.structures.random_units import random_units

RUTILE = np.diag([4.59, 4.59, 2.96])
NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"space_group": 0}, "1 to 230"), ({"space_group": 231}, "1 to 230"), ({"space_group": -136}, "1 to 230"),
        ({"space_group": 136.5}, "1 to 230"), ({"space_group": "P42/mnx"}, "1 to 230"),
        ({"space_group": None}, "1 to 230"),
        ({"element": [22, 0]}, "orbit 1: element 0"), ({"element": [119, 8]}, "orbit 0: element 119"),
        ({"element": [22, -8]}, "element -8"), ({"element": [22, 8.5]}, "atomic numbers"),
        ({"element": ["Ti", "Xx"]}, "'Xx': no such element"), ({"element": [22, NAN]}, "atomic numbers"),
        ({"element": [22, 1e300]}, "atomic numbers"), ({"element": [22]}, "must agree"),
        ({"letter": ("a", "q")}, "no Wyckoff position 'q'"), ({"letter": ("a", "")}, "no Wyckoff position ''"),
        ({"letter": ("a",)}, "must agree"), ({"letter": 3}, "letter: 3"), ({"letter": ("a", None)}, "position None"),
        ({"position": [[0, 0, 0], [NAN, 0.3, 0]]}, "orbit 1: its position .* is not finite"),
        ({"position": [[0, 0, INF], [0.3, 0.3, 0]]}, "orbit 0: its position .* is not finite"),
        ({"position": [[0, 0, 0], [0.3, 0.3]]}, "position: expected numbers"),
        ({"position": [[0, 0], [0.3, 0.3]]}, r"position.shape=\(2, 2\)"), ({"position": [[0, 0, 0]]}, "must agree"),
        ({"position": "x"}, "position: expected numbers"),
        ({"lattice": RUTILE * NAN}, "not finite"), ({"lattice": RUTILE * 0}, "not the cell of a crystal"),
        ({"lattice": RUTILE * 1e300}, "not the cell of a crystal"), ({"lattice": np.ones((3, 3))}, "no volume"),
        ({"lattice": -RUTILE}, "left-handed"), ({"lattice": RUTILE[[1, 0, 2]]}, "left-handed"),
        ({"lattice": RUTILE[:2]}, r"lattice.shape=\(2, 3\)"), ({"lattice": None}, r"lattice.shape=\(\)"),
        ({"element": [], "letter": (), "position": []}, "at least one orbit"),
    ],
)  # fmt: skip
def test_what_is_no_crystal_is_said_in_one_line(changed, said):
    good = {"space_group": 136, "lattice": RUTILE, "element": [22, 8], "letter": ("a", "f")}
    good["position"] = [[0, 0, 0], [0.305, 0.305, 0]]
    AsymmetricUnit(**good)
    with pytest.raises(InputError, match=said) as error:
        AsymmetricUnit(**(good | changed))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("element", [["Ti", "O"], "Ti,O", ["22", "O"], np.array([22, 8])], ids=repr)
@pytest.mark.parametrize("group", [136, "136", "P4_2/mnm", np.int64(136)], ids=repr)
def test_groups_and_elements_by_number_or_symbol(group, element):
    unit = AsymmetricUnit(group, RUTILE, element, "af", [[0, 0, 0], [0.305, 0.305, 0]])
    assert unit.space_group == 136
    assert unit.element.tolist() == [22, 8]


def test_what_was_checked_stays_so():
    points = np.array([[0, 0, 0], [0.305, 0.305, 0]])
    unit = AsymmetricUnit(136, RUTILE, [22, 8], "af", points)
    with pytest.raises(ValueError, match="read-only"):
        unit.position[0, 0] += 0.05
    points[0, 0] = 0.05  # not the unit's
    assert unit.position[0, 0] == 0
    with pytest.raises(InputError, match="off the position"):
        dataclasses.replace(unit, position=points)


def test_labels_are_one_a_unit_and_differ():
    units = [random_units([n])[0] for n in (1, 62)]
    assert AsymmetricUnits.from_units(units, ["x", "y"]).label.tolist() == ["x", "y"]
    for labels, said in ((["x"], "1 labels for 2"), (["x", "y", "z"], "3 labels for 2"), (["x", "x"], "'x' names 2")):
        with pytest.raises(InputError, match=said):
            AsymmetricUnits.from_units(units, labels)
    with pytest.raises(InputError, match="1 labels for 0"):
        AsymmetricUnits.from_units([], ["x"])


@given(st.lists(st.integers(1, 230), min_size=1, max_size=4), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_arrays_are_put_right_like_single_units(numbers, seed):
    """Representatives exchanged for other atoms, moved by less than the tolerance and by lattice translations."""
    rng = np.random.default_rng(seed)
    units = random_units(numbers, seed)
    cells = replicate_flat(units)
    atom = [rng.choice(np.flatnonzero(cells.orbit == orbit)) for orbit in range(len(units.element))]
    moved = cells.position[atom] + rng.integers(-1, 2, (len(atom), 3)) + rng.uniform(-1e-4, 1e-4, (len(atom), 3))
    k = units.k + rng.uniform(-1, 1, units.k.shape) * 1e-4
    found = dataclasses.replace(units, position=moved, k=k).check()
    np.testing.assert_allclose(found.k, constrain(k, units.space_group), atol=1e-12)
    again = replicate_flat(found)
    for orbit in range(len(units.element)):
        gap = again.position[again.orbit == orbit][:, None] - cells.position[cells.orbit == orbit]
        assert np.abs(gap - np.rint(gap)).max(axis=2).min(axis=1).max() < 3e-4


def test_arrays_of_generated_crystals_may_have_atoms_on_one_point():
    """A file of ten thousand is not refused for one of them; where there is room for one atom, there are no two."""
    units = random_units([75, 75])
    position = units.position.copy()
    position[0] = position[1] = [0, 0, 0.25]
    rows = units.wyckoff.copy()
    rows[1] = rows[0]
    assert len(dataclasses.replace(units, position=position, wyckoff=rows).check()) == 2
    units = random_units([136, 136])
    position, rows = units.position.copy(), units.wyckoff.copy()
    rows[3], position[3] = rows[2], position[2]
    with pytest.raises(InputError, match=r"crystal '00001': orbit 0 .* and orbit 1 are on the same point, which holds"):
        dataclasses.replace(units, position=position, wyckoff=rows).check()
