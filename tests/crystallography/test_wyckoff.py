"""Each of the 1,731 Wyckoff positions, against spglib's operations and pyxtal's tables."""

from __future__ import annotations

import numpy as np
import pytest
import spglib
from pyxtal.symmetry import Group
from tools.symmetry_elements import site_code

from symmcd.crystallography.lattice import constrain, lattice_from_k
from symmcd.crystallography.projection import nearest_on_images
from symmcd.crystallography.space_group import operations
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.errors import InputError
from symmcd.structures.standard_cell import standard_hall_numbers

NUMBERS = range(1, 231)
TABLE = wyckoff_table()


def positions(number: int) -> range:
    return range(TABLE.start[number - 1], TABLE.start[number])


def random_point(row: int) -> np.ndarray:
    """A point on a position, in generator form, generic up to that."""
    u = np.random.default_rng(row).uniform(0.05, 0.95, 3)
    return TABLE.generator[row, :, :3] @ u + TABLE.generator[row, :, 3]


def orbit(row: int, point: np.ndarray) -> np.ndarray:
    made = TABLE.operations[TABLE.operation_start[row] : TABLE.operation_start[row + 1]]
    return made[:, :, :3] @ point + made[:, :, 3]


def distinct(points: np.ndarray) -> np.ndarray:
    """Points that differ modulo the lattice."""
    difference = points[:, None] - points[None]
    same = (np.abs(difference - np.rint(difference)) < 1e-6).all(axis=2)
    return points[same.argmax(axis=1) == np.arange(len(points))]


@pytest.mark.parametrize("number", NUMBERS)
def test_orbits_of_every_position(number: int) -> None:
    """Orbit closed under spglib's operations, right multiplicity, site symmetry of the very point by spglib."""
    database = spglib.get_symmetry_from_database(standard_hall_numbers()[number - 1])
    rotations, translations = database["rotations"], database["translations"]
    for row in positions(number):
        point = random_point(row)
        sites = orbit(row, point)
        assert len(distinct(sites)) == len(sites) == TABLE.multiplicity[row]
        full = rotations @ point + translations
        assert len(distinct(np.concatenate([sites, full]))) == len(sites)  # the very same orbit
        difference = full - point
        fixing = (np.abs(difference - np.rint(difference)) < 1e-9).all(axis=1)
        assert fixing.sum() * TABLE.multiplicity[row] == len(rotations)
        assert np.array_equal(site_code(rotations[fixing]), TABLE.site_symmetry[row])
        # the mean of the operations that fix the point, with their lattice translations, is the projector on its image
        mean = np.column_stack([rotations[fixing].mean(axis=0), (point - rotations[fixing] @ point).mean(axis=0)])
        assert np.allclose(TABLE.image_projector[TABLE.image_start[row]], mean, atol=1e-12)


@pytest.mark.parametrize("number", NUMBERS)
def test_letters_multiplicities_and_orbits_are_pyxtals(number: int) -> None:
    group = Group(number)
    assert len(group) == len(positions(number))
    for row in positions(number):
        other = group.get_wyckoff_position(str(TABLE.letter[row]))
        assert other.multiplicity == TABLE.multiplicity[row]
        assert other.get_dof() == TABLE.degrees_of_freedom[row]
        point = random_point(row)
        theirs = np.array([op.operate(point) for op in other.ops])
        assert len(distinct(np.concatenate([orbit(row, point), theirs]))) == TABLE.multiplicity[row]


def test_code_fixes_the_point_group_and_the_multiplicity() -> None:
    point_group: dict[bytes, str] = {}
    for number in NUMBERS:
        multiplicity: dict[bytes, int] = {}
        for row in positions(number):
            point, group = random_point(row), operations(number)
            difference = group[:, :, :3] @ point + group[:, :, 3] - point
            fixing = (np.abs(difference - np.rint(difference)) < 1e-9).all(axis=1)
            name = spglib.get_pointgroup(np.rint(group[fixing, :, :3]).astype("intc"))[0].strip()
            code = TABLE.site_symmetry[row].tobytes()
            assert point_group.setdefault(code, name) == name
            assert multiplicity.setdefault(code, TABLE.multiplicity[row]) == TABLE.multiplicity[row]
    assert len(point_group) == 83
    assert set(point_group.values()) >= {"1", "-1", "2", "m", "mm2", "-43m", "m-3m", "6/mmm", "-3m", "4/mmm"}


def test_counts() -> None:
    assert len(TABLE.letter) == 1731
    assert len(TABLE.operations) == 14433
    assert (TABLE.degrees_of_freedom == 0).sum() == 616
    assert TABLE.multiplicity.max() == 192


@pytest.mark.parametrize("number", NUMBERS)
def test_a_point_on_a_position_is_projected_to_itself(number: int) -> None:
    rng = np.random.default_rng(number)
    k = constrain(rng.normal(0, 0.1, (1, 6)) + [0, 0, 0, 0, 0, 1.6], np.array([number]))
    cell = lattice_from_k(k)[0]
    for row in positions(number):
        images = np.arange(TABLE.image_start[row], TABLE.image_start[row + 1])
        point = random_point(row) + rng.integers(-2, 3, 3)
        metric = np.broadcast_to(cell @ cell.T, (len(images), 3, 3))
        nearest, squared = nearest_on_images(np.broadcast_to(point, (len(images), 3)), images, metric)
        assert squared[0] < 1e-20
        assert np.allclose(nearest[0], point, atol=1e-10)


def test_unknown_letter_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="abcdefghi"):
        TABLE.row(2, "z")
