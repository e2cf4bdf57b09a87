"""What is a little off is put right, the rest is refused, and spglib finds the group."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import spglib
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from symmcd import replicate
from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.consistency import EXACT, POSITION_TOLERANCE
from symmcd.crystallography.lattice import constrain, lattice_from_k, lengths_and_angles
from symmcd.crystallography.space_group import operations
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.errors import InputError
from symmcd.structures.standard_cell import standard_hall_numbers
from tests.structures.random_units import random_units

TABLE = wyckoff_table()
RUTILE = np.diag([4.59, 4.59, 2.96])
STEPS = np.array(list(itertools.product((-2, -1, 0, 1, 2), repeat=3)), float)


def point_on(row: int, rng: np.random.Generator) -> np.ndarray:
    template = TABLE.generator[row]
    return (template[:, :3] @ rng.uniform(0.05, 0.45, 3) + template[:, 3]) % 1


def cell_of(number: int, rng: np.random.Generator) -> np.ndarray:
    k = constrain(rng.normal(0, 0.1, (1, 6)) + [0, 0, 0, 0, 0, 2.3], np.array([number]))
    return lattice_from_k(k)[0]


def distance_to(row: int, point: np.ndarray, lattice: np.ndarray) -> float:
    """Å from a point to any member of a position, by least squares over the free parameters of each.

    Knows nothing of projectors and images: all operations of the group and near lattice translations are tried.
    """
    template = TABLE.generator[row]
    group = operations(int(TABLE.space_group[row]))
    back = np.linalg.inv(group[:, :, :3]) @ (point - group[:, :, 3])[:, :, None]
    across = np.eye(3)
    directions = lattice.T @ template[:, :3]
    across -= directions @ np.linalg.pinv(directions)
    offset = back[:, :, 0] - template[:, 3]
    offset = (offset - np.rint(offset))[:, None] + STEPS
    return float(np.linalg.norm(offset @ lattice @ across.T, axis=2).min())


def same_points(one: np.ndarray, other: np.ndarray) -> bool:
    gap = one[:, None] - other[None]
    near = np.abs(gap - np.rint(gap)).max(axis=2)
    return len(one) == len(other) and near.min(axis=0).max() < 1e-7 and near.min(axis=1).max() < 1e-7


def has_operations(structure, number: int) -> bool:
    """spglib finds all operations that its own tables have for a group, in this very cell."""
    cell = (structure.lattice.matrix, structure.frac_coords, structure.atomic_numbers)
    found = spglib.get_symmetry(cell, symprec=1e-4)
    wanted = spglib.get_symmetry_from_database(standard_hall_numbers()[number - 1])
    for rotation, translation in zip(wanted["rotations"], wanted["translations"], strict=True):
        shift = found["translations"][(found["rotations"] == rotation).all(axis=(1, 2))] - translation
        if not len(shift) or np.abs(shift - np.rint(shift)).max(axis=1).min() > 1e-3:
            return False
    return True


@given(st.integers(0, 1730), st.integers(0, 10_000), st.floats(0, 5))
@settings(max_examples=150, deadline=None)
def test_a_representative_near_its_position_is_moved_there_and_one_farther_off_is_refused(row, seed, share):
    """By a displacement of `share` times the tolerance in any direction, from any atom of the orbit."""
    rng = np.random.default_rng(seed)
    number = int(TABLE.space_group[row])
    lattice, point = cell_of(number, rng), point_on(row, rng)
    atoms, _ = TABLE.orbit(np.array([row]), point[None])
    direction = rng.normal(size=3)
    step = direction / np.linalg.norm(direction) * share * POSITION_TOLERANCE
    start = atoms[rng.integers(len(atoms))] + rng.integers(-2, 3, 3) + step @ np.linalg.inv(lattice)
    off = distance_to(row, start, lattice)
    assume(abs(off - POSITION_TOLERANCE) > 1e-6)
    apart = atoms[1:] - atoms[0]
    assume(not len(apart) or np.linalg.norm((apart - np.rint(apart)) @ lattice, axis=1).min() > 0.3)
    arguments = (number, lattice, [20], (str(TABLE.letter[row]),), [start])
    if off > POSITION_TOLERANCE:
        with pytest.raises(InputError, match=rf"letter {TABLE.letter[row]} of space group {number} .*Å off the posit"):
            AsymmetricUnit(*arguments)
        return
    unit = AsymmetricUnit(*arguments)
    made = replicate(unit)
    assert len(made) == TABLE.multiplicity[row]
    assert has_operations(made, number)
    form = TABLE.generator[row, :, :3] @ unit.position[0] + TABLE.generator[row, :, 3] - unit.position[0]
    np.testing.assert_allclose(form, np.rint(form), rtol=0, atol=EXACT)  # what is as near as that stays
    assert ((unit.position >= 0) & (unit.position < 1)).all()
    gap = made.frac_coords - start
    assert np.linalg.norm((gap - np.rint(gap)) @ lattice, axis=1).min() <= share * POSITION_TOLERANCE + 1e-9


@given(st.integers(0, 1730), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_any_atom_of_an_orbit_stands_for_it(row, seed):
    rng = np.random.default_rng(seed)
    number = int(TABLE.space_group[row])
    lattice, point = cell_of(number, rng), point_on(row, rng)
    atoms, _ = TABLE.orbit(np.array([row]), point[None])
    chosen = rng.permutation(len(atoms))[:12]
    for atom in atoms[chosen]:
        unit = AsymmetricUnit(number, lattice, [20], (str(TABLE.letter[row]),), [atom])
        again, _ = TABLE.orbit(unit.wyckoff, unit.position)
        assert same_points(atoms, again)


@given(st.lists(st.integers(1, 230), min_size=1, max_size=3), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_exact_units_stay_as_they_are_to_the_last_digit(numbers, seed):
    units = random_units(numbers, seed)
    checked = units.check()
    assert checked.k.tobytes() == units.k.tobytes()
    assert checked.position.tobytes() == units.position.tobytes()
    for i in range(len(units)):
        unit = units[i]
        again = dataclasses.replace(unit)  # through the constructor, unlike units[i]
        assert again.lattice.tobytes() == unit.lattice.tobytes()
        assert again.position.tobytes() == unit.position.tobytes()
        assert (again.letter, again.element.tolist()) == (unit.letter, unit.element.tolist())


@pytest.mark.parametrize("digits", [3, 4, 6])
@pytest.mark.parametrize("number", [2, 14, 62, 136, 166, 194, 227])
def test_rounded_numbers_are_put_right(number, digits):
    """As people type them; spglib finds the group at a tolerance far below the rounding."""
    unit = random_units([number], digits)[0]
    rounded = AsymmetricUnit(number, unit.lattice.round(digits), unit.element, unit.letter, unit.position.round(digits))
    np.testing.assert_allclose(rounded.position, unit.position, atol=2 * 10.0**-digits)
    np.testing.assert_allclose(rounded.lattice, unit.lattice, atol=2 * 10.0**-digits)
    assert has_operations(replicate(rounded), number)
    k = AsymmetricUnits.from_units([rounded]).k
    np.testing.assert_allclose(k, constrain(k, np.array([number])), atol=1e-12)


def cell(a: float, b: float, c: float, alpha: float, beta: float, gamma: float) -> np.ndarray:
    x, y, z = np.cos(np.radians([alpha, beta, gamma]))
    metric = np.array([[a * a, a * b * z, a * c * y], [a * b * z, b * b, b * c * x], [a * c * y, b * c * x, c * c]])
    return np.linalg.cholesky(metric)


WRONG = {
    3: [(5, 6, 7, 91, 100, 90), (5, 6, 7, 90, 100, 91), (5, 6, 7, 90, 90, 100)],  # unique axis c
    47: [(5, 6, 7, 91, 90, 90), (5, 6, 7, 90, 91, 90), (5, 6, 7, 90, 90, 89)],
    83: [(5, 5.03, 7, 90, 90, 90), (5, 5, 7, 90, 90, 91), (7, 5, 5, 90, 90, 90)],
    146: [(5, 5, 7, 90, 90, 119), (5, 5.03, 7, 90, 90, 120), (5, 5, 5, 70, 70, 70)],  # rhombohedral axes
    168: [(5, 5, 7, 90, 90, 60), (5, 5, 7, 90, 91, 120), (5, 5, 5, 90, 90, 90)],
    195: [(5, 5, 5.03, 90, 90, 90), (5, 5, 5, 90, 90, 91), (5, 5, 5, 60, 60, 60)],  # the primitive cell of cF
}
CONDITION = {
    3: "monoclinic: alpha = gamma = 90°", 47: "orthorhombic: alpha = beta = gamma", 83: "tetragonal: a = b, alpha",
    146: "hexagonal, hexagonal axes: a = b, ", 168: "hexagonal: a = b, ", 195: "cubic: a = b = c",
}  # fmt: skip


@pytest.mark.parametrize(("number", "wrong"), [(n, w) for n, some in WRONG.items() for w in some])
def test_lattices_of_another_family_are_refused(number, wrong):
    with pytest.raises(InputError) as error:
        AsymmetricUnit(number, cell(*wrong), [20], ("a",), [[0, 0, 0]])
    said = str(error.value)
    assert f"space group {number} ({CONDITION[number]}" in said
    assert f"a, b, c = {' '.join(f'{v:.4g}' for v in wrong[:3])} Å" in said
    assert "\n" not in said
    AsymmetricUnit(1, cell(*wrong), [20], ("a",), [[0, 0, 0]])  # triclinic cells are all


@pytest.mark.parametrize(
    ("number", "right"),
    [
        (3, (5, 6, 7, 90, 100, 90)), (47, (5, 6, 7, 90, 90, 90)), (83, (5, 5, 7, 90, 90, 90)),
        (146, (5, 5, 7, 90, 90, 120)), (168, (5, 5, 7, 90, 90, 120)), (195, (5, 5, 5, 90, 90, 90)),
    ],
)  # fmt: skip
def test_lattices_near_the_family_become_of_it_and_keep_their_orientation(number, right):
    rng = np.random.default_rng(number)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.linalg.det(turn)
    near = cell(*(np.array(right) + rng.uniform(-1, 1, 6) * [0.004, 0.004, 0.004, 0.05, 0.05, 0.05])) @ turn
    unit = AsymmetricUnit(number, near, [20], ("a",), [[0, 0, 0]])
    np.testing.assert_allclose(unit.lattice, near, atol=0.02)
    lengths, angles = (values[0] for values in lengths_and_angles(unit.lattice[None]))
    fixed = [v in (90, 120) for v in right[3:]]
    np.testing.assert_allclose(angles[fixed], np.array(right[3:])[fixed], atol=1e-10)
    for i, j in itertools.combinations(range(3), 2):
        if right[i] == right[j]:
            assert lengths[i] == pytest.approx(lengths[j], abs=1e-12)


@pytest.mark.parametrize(
    ("letter", "point", "fits"),
    [
        ("k", [0.305, 0.305, 0], "f"), ("k", [0, 0, 0], "a"), ("f", [0.5, 0.5, 0], "b"), ("i", [0.3, 0.3, 0], "f"),
        ("e", [0, 0, 0.001], "a"), ("h", [0, 0.5, 0.25], "d"), ("k", [0.2, 0.2002, 0.3], "j"),
    ],
)  # fmt: skip
def test_letters_of_less_symmetric_positions_are_refused_with_the_one_that_fits(letter, point, fits):
    with pytest.raises(InputError, match=f"letter {letter} of .* more symmetric position.*this point is {fits}$"):
        AsymmetricUnit(136, RUTILE, [8], (letter,), [point])


def test_atoms_on_one_point_are_accepted_where_that_is_asked_for():
    assert AsymmetricUnit(136, RUTILE, [8], ("k",), [[0.305, 0.305, 0]], apart=False).number_of_atoms == 16


def test_letters_of_other_positions_are_refused_with_the_one_that_fits():
    with pytest.raises(InputError, match=r"\(0.1, 0.2, 0\) is 0.325 Å off the position \(x,x,0\).* this point is i$"):
        AsymmetricUnit(136, RUTILE, [8], ("f",), [[0.1, 0.2, 0]])
    with pytest.raises(InputError, match=r"1.48 Å off the position \(0,0,1/2\) .* this point is a$"):
        AsymmetricUnit(136, RUTILE, [8], ("b",), [[0.5, 0.5, 0.5]])


@pytest.mark.parametrize(
    ("letters", "points", "said"),
    [
        ("aa", [[0, 0, 0], [0, 0, 0]], "holds only one"),
        ("aa", [[0, 0, 0], [0.5, 0.5, 0.5]], "holds only one"),  # two atoms of the one orbit
        ("ff", [[0.3, 0.3, 0], [0.3, 0.3, 0]], "on the same point"),
        ("ff", [[0.3, 0.3, 0], [0.7, 0.7, 0.0001]], "on the same point"),
        ("kk", [[0.1, 0.2, 0.3], [0.7, 0.4, 0.8]], "on the same point"),
        ("ak", [[0, 0, 0], [0.0005, 0.0006, 0.0007]], "on the same point"),
    ],
)
def test_two_atoms_on_one_point_are_refused(letters, points, said):
    with pytest.raises(InputError, match=said):
        AsymmetricUnit(136, RUTILE, [22, 8], letters, points)
