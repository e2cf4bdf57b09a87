"""Nearest points on positions, against exhaustive searches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symmcd.crystallography.lattice import lattice_from_k
from symmcd.crystallography.projection import nearest_on_images, to_generator_form
from symmcd.crystallography.space_group import operations
from symmcd.crystallography.wyckoff import wyckoff_table
from tests.crystallography.exhaustive import exhaustive, random_k

TABLE = wyckoff_table()


@pytest.mark.parametrize("seed", range(40))
def test_never_farther_than_an_exhaustive_search(seed: int) -> None:
    rng = np.random.default_rng(seed)
    row = int(rng.integers(len(TABLE.letter)))
    cell = lattice_from_k(random_k(rng, TABLE.space_group[[row]], spread=0.25))[0]
    metric = cell @ cell.T
    point = rng.random(3)
    images = np.arange(TABLE.image_start[row], TABLE.image_start[row + 1])
    nearest, squared = nearest_on_images(
        np.broadcast_to(point, (len(images), 3)), images, np.broadcast_to(metric, (len(images), 3, 3))
    )
    assert squared.min() == pytest.approx(exhaustive(point, row, metric), abs=1e-9)
    step = (nearest - point) @ cell
    assert np.allclose((step**2).sum(axis=1), squared)


def test_strongly_skewed_triclinic_cells() -> None:
    """Where rounding fractional coordinates is far off: the basis is reduced first, and the bound widens the search."""
    rng = np.random.default_rng(5)
    row = TABLE.row(2, "e")
    for _ in range(8):
        cell = np.array([[4.0, 0, 0], [7.0, 4, 0], [-5.0, 6.0, 5]]) + rng.normal(0, 0.3, (3, 3))
        point = rng.random(3)
        image = np.array([TABLE.image_start[row]])
        _, squared = nearest_on_images(point[None], image, (cell @ cell.T)[None])
        assert squared[0] == pytest.approx(exhaustive(point, row, cell @ cell.T, reach=12), abs=1e-9)


@pytest.mark.parametrize("edges", [(1.0, 1.3, 14.0), (1.0, 12.0, 13.0), (14.0, 1.1, 12.0), (2.0, 30.0, 2.2)])
def test_needles_and_plates(edges: tuple[float, float, float]) -> None:
    """Where the bound reaches over many cells along the short edges, and the neighbours are not enough."""
    rng = np.random.default_rng(7)
    for letter in "aei":
        row = TABLE.row(2, letter)
        image = np.array([TABLE.image_start[row]])
        for _ in range(4):
            cell = np.diag(edges) @ (np.eye(3) + np.triu(rng.normal(0, 0.4, (3, 3)), 1))
            point = rng.random(3)
            _, squared = nearest_on_images(point[None], image, (cell @ cell.T)[None])
            assert squared[0] == pytest.approx(exhaustive(point, row, cell @ cell.T, reach=15), abs=1e-9)


@given(st.integers(0, 10_000), st.floats(0, 5))
@settings(max_examples=60, deadline=None)
def test_cells_of_any_shape_take_no_longer(seed: int, decades: float) -> None:
    """A model that has learnt little makes cells hundreds of times as long as wide: as boxes, whose answer is known."""
    rng = np.random.default_rng(seed)
    edges = 10 ** rng.uniform(-decades / 2, decades / 2, 3)
    skew = np.eye(3) + np.tril(rng.integers(-3, 4, (3, 3)), -1)  # another basis of the same lattice
    row = TABLE.row(2, "a")
    point = rng.random(3)
    cell = skew @ np.diag(edges)
    _, squared = nearest_on_images(point[None], np.array([TABLE.image_start[row]]), (cell @ cell.T)[None])
    in_box = point @ skew
    assert squared[0] == pytest.approx((((in_box - np.rint(in_box)) * edges) ** 2).sum(), rel=1e-6)


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_generator_form_is_an_equivalent_point(seed: int) -> None:
    rng = np.random.default_rng(seed)
    row = int(rng.integers(len(TABLE.letter)))
    image = int(rng.integers(TABLE.image_start[row], TABLE.image_start[row + 1]))
    cell = lattice_from_k(random_k(rng, TABLE.space_group[[row]]))
    on_image, _ = nearest_on_images(rng.random((1, 3)) * 4 - 2, np.array([image]), cell @ np.swapaxes(cell, 1, 2))
    formed = to_generator_form(on_image, np.array([image]), np.array([row]))[0]
    template = TABLE.generator[row]
    off = template[:, :3] @ formed + template[:, 3] - formed
    assert np.allclose(off, np.rint(off), atol=1e-12)
    group = operations(int(TABLE.space_group[row]))
    difference = group[:, :, :3] @ formed + group[:, :, 3] - on_image[0]
    assert np.abs(difference - np.rint(difference)).max(axis=1).min() < 1e-9
