"""Drawn crystals: which atoms are there, and that the picture shows them where they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.orbit import replicate_flat
from symmcd.errors import InputError
from symmcd.report.crystal_drawing import bonds, draw_crystal, with_boundary_images, write_gallery
from symmcd.report.ray_caster import Cylinder, Sphere, paint

CORNERS = ((0, 0, 0), (0.5, 0.5, 0.5))
ROCK_SALT = AsymmetricUnit(225, 5.64 * np.eye(3), [11, 17], ("a", "b"), CORNERS)
CAESIUM_CHLORIDE = AsymmetricUnit(221, 4.12 * np.eye(3), [55, 17], ("a", "b"), CORNERS)


def closed_cell(unit):
    crystal = replicate_flat(AsymmetricUnits.from_units([unit]))
    return with_boundary_images(crystal.lattice[0], crystal.position, crystal.element)


def test_rock_salt_has_27_atoms_with_its_boundary():
    position, element = closed_cell(ROCK_SALT)
    assert len(position) == 27
    # 8 corners and 6 faces of sodium; 12 edges and the middle of chlorine
    assert np.bincount(element)[[11, 17]].tolist() == [14, 13]
    assert sorted(map(tuple, position.tolist())) == [
        (x, y, z) for x in (0, 0.5, 1) for y in (0, 0.5, 1) for z in (0, 0.5, 1)
    ]


@given(st.lists(st.tuples(*[st.sampled_from([0, 0.25, 0.5, 0.9])] * 3), min_size=1, max_size=6, unique=True))
def test_images_are_twice_as_many_for_each_zero(points):
    """An atom on k faces through the origin is drawn 2ᵏ times, and each image is the atom up to a lattice vector."""
    position, element = with_boundary_images(5.0 * np.eye(3), np.array(points, float), np.arange(1, len(points) + 1))
    for number, point in enumerate(points, 1):
        images = position[element == number]
        assert len(images) == 2 ** sum(x == 0 for x in point)
        assert np.allclose((images - point) - np.rint(images - point), 0)


def test_an_atom_a_hair_off_the_boundary_is_completed_too():
    position, _ = with_boundary_images(10.0 * np.eye(3), np.array([[0.999, 0.3, 0.3]]), np.array([8]))
    assert len(position) == 2
    position, _ = with_boundary_images(10.0 * np.eye(3), np.array([[0.99, 0.3, 0.3]]), np.array([8]))
    assert len(position) == 1


def test_each_sodium_inside_has_six_bonds():
    position, element = closed_cell(ROCK_SALT)
    pairs = bonds(position * 5.64, element)
    middle = int(np.flatnonzero((position == 0.5).all(axis=1))[0])
    assert (pairs == middle).sum() == 6
    assert (element[pairs].sum(axis=1) == 11 + 17).all()


def test_bonds_end_at_their_reach():
    """Two sulfurs, covalent radius 1.05 Å: joined up to 1.15 × 2.10 = 2.415 Å."""
    sulfur = np.array([16, 16])
    assert len(bonds(np.array([[0, 0, 0], [2.40, 0, 0]]), sulfur)) == 1
    assert len(bonds(np.array([[0, 0, 0], [2.43, 0, 0]]), sulfur)) == 0


def test_metals_are_not_joined():
    copper = np.array([[0, 0, 0], [1.8, 1.8, 0]])
    assert len(bonds(copper, np.array([29, 29]))) == 0
    assert len(bonds(copper, np.array([29, 16]))) == 1


def test_the_nearer_sphere_hides_the_farther():
    red, blue = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)
    near, far = Sphere(np.array([0, 0, 2.0]), 1, red), Sphere(np.array([0, 0, -2.0]), 1.5, blue)
    image = paint([far, near], [], 120, 120).astype(int)
    centre, rim = image[60, 60], image[60, 12]
    assert centre[0] > centre[2] + 80
    assert rim[2] > rim[0] + 30
    assert image[2, 2, 3] == 0, "the corner is transparent"
    assert np.array_equal(image, paint([near, far], [], 120, 120)), "the order of painting does not matter"


def test_a_cylinder_ends_where_it_ends():
    bar = Cylinder(np.array([-1.0, 0, 0]), np.array([1.0, 0, 0]), 0.2, (0.5, 0.5, 0.5))
    frame = [Sphere(np.array([x, y, 0.0]), 0.01, (1, 1, 1)) for x in (-2, 2) for y in (-2, 2)]
    seen = paint(frame, [bar], 200, 200)[:, :, 3] > 100
    row = np.flatnonzero(seen[100])
    assert 92 < np.ptp(row) < 101, "half of the width, as 2 is of 4"
    assert 17 < np.ptp(np.flatnonzero(seen[:, 100])) < 22


@pytest.mark.parametrize("unit", [ROCK_SALT, CAESIUM_CHLORIDE], ids=["NaCl", "CsCl"])
def test_a_drawing_is_mostly_filled_and_fits(unit):
    image = draw_crystal(unit, 200, 180)
    assert image.shape == (180, 200, 4)
    assert image.dtype == np.uint8
    covered = image[:, :, 3] > 0
    assert 0.15 < covered.mean() < 0.9
    assert not covered[[0, -1]].any(), "nothing is cut off"
    assert not covered[:, [0, -1]].any()


def test_a_long_cell_lies_down():
    layered = AsymmetricUnit(166, [[4.38, 0, 0], [-2.19, 3.793, 0], [0, 0, 30.49]], [52], ("a",), [(0, 0, 0)])
    covered = draw_crystal(layered, 200, 200)[:, :, 3] > 0
    assert np.ptp(np.flatnonzero(covered.any(axis=0))) > 2 * np.ptp(np.flatnonzero(covered.any(axis=1)))


def test_broken_cells_are_refused():
    broken = AsymmetricUnit.exact(1, np.full((3, 3), np.nan), np.array([1]), ("a",), np.zeros((1, 3)))
    with pytest.raises(InputError, match="not finite"):
        draw_crystal(broken)


def test_the_gallery_is_a_picture(tmp_path):
    write_gallery(tmp_path / "crystals.png", [ROCK_SALT, CAESIUM_CHLORIDE], columns=2)
    with Image.open(tmp_path / "crystals.png") as image:
        assert image.format == "PNG"
        assert image.width > 1.5 * image.height
    assert [path.name for path in tmp_path.iterdir()] == ["crystals.png"], "no temporary file is left"
