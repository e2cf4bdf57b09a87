"""Projection and joint decoding, against exhaustive searches."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symmcd.crystallography.assignment import assign
from symmcd.crystallography.decode import decode
from symmcd.crystallography.lattice import constrain, lattice_from_k
from symmcd.crystallography.projection import nearest_on_images, to_generator_form
from symmcd.crystallography.space_group import operations
from symmcd.crystallography.wyckoff import wyckoff_table

TABLE = wyckoff_table()


def random_k(rng: np.random.Generator, number: np.ndarray, spread: float = 0.15) -> np.ndarray:
    return constrain(rng.normal(0, spread, (len(number), 6)) + [0, 0, 0, 0, 0, 1.6], number)


def exhaustive(point: np.ndarray, row: int, metric: np.ndarray, reach: int = 3) -> float:
    """Least squared distance (Å²) to any member of a position, over all group operations and lattice translates.

    Independent of the projectors: least squares over the free parameters of each member.
    """
    root = np.linalg.cholesky(metric).T
    template, best = TABLE.generator[row], np.inf
    shifts = np.array(list(itertools.product(range(-reach, reach + 1), repeat=3)))
    for g in operations(int(TABLE.space_group[row])):
        directions = root @ g[:, :3] @ template[:, :3]
        base = g[:, :3] @ template[:, 3] + g[:, 3]
        wanted = root @ (point + shifts - base).T
        solution = np.linalg.lstsq(directions, wanted, rcond=None)[0]
        best = min(best, ((directions @ solution - wanted) ** 2).sum(axis=0).min())
    return float(best)


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


def sample(rng: np.random.Generator, numbers: np.ndarray, orbits: int) -> dict[str, np.ndarray]:
    """What a model might hand over: legal codes, random everything else."""
    crystal = np.repeat(np.arange(len(numbers)), orbits)
    first, last = TABLE.start[numbers[crystal] - 1], TABLE.start[numbers[crystal]]
    return {
        "space_group": numbers,
        "k": rng.normal(0, 0.1, (len(numbers), 6)) + [0, 0, 0, 0, 0, 1.6],
        "element": rng.integers(1, 90, len(crystal)),
        "position": rng.random((len(crystal), 3)),
        "site_symmetry": TABLE.site_symmetry[first + (rng.random(len(crystal)) * (last - first)).astype(int)],
        "start": np.arange(len(numbers) + 1) * orbits,
    }


@pytest.mark.parametrize("seed", range(5))
def test_decode_takes_the_nearest_allowed_position(seed: int) -> None:
    """Single-orbit crystals: no conflicts, so each orbit gets the nearest of all positions with its code."""
    rng = np.random.default_rng(seed)
    raw = sample(rng, rng.integers(1, 231, 12), 1)
    units = decode(**raw)
    cells = lattice_from_k(units.lattice)
    for i, number in enumerate(raw["space_group"]):
        metric = cells[i] @ cells[i].T
        rows = np.arange(TABLE.start[number - 1], TABLE.start[number])
        same = rows[(TABLE.site_symmetry[rows] == raw["site_symmetry"][i]).all(axis=1)]
        distances = [exhaustive(raw["position"][i], int(row), metric, reach=2) for row in same]
        assert units.wyckoff[i] in same
        chosen = distances[same.tolist().index(units.wyckoff[i])]
        assert chosen == pytest.approx(min(distances), abs=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_a_position_without_freedom_holds_one_orbit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    units = decode(**sample(rng, rng.integers(1, 231, 50), 6))
    for i in range(len(units)):
        rows = units.wyckoff[units.start[i] : units.start[i + 1]]
        single = rows[TABLE.degrees_of_freedom[rows] == 0]
        assert len(np.unique(single)) == len(single)
    assert (TABLE.space_group[units.wyckoff] == units.space_group[units.crystal]).all()


def test_more_orbits_than_single_positions_spill_over() -> None:
    """Five caesium-chloride corners asked of Pm-3m: two such positions exist, the others go where there is freedom."""
    code = TABLE.site_symmetry[TABLE.row(221, "a")]
    raw = sample(np.random.default_rng(0), np.array([221]), 5)
    units = decode(**raw | {"site_symmetry": np.broadcast_to(code, (5, 15))})
    letters = units[0].letter
    assert {"a", "b"} <= set(letters)
    assert len(set(letters) & {"a", "b"}) + sum(letter not in "abcd" for letter in letters) >= 3
    for letter in "abcd":
        assert letters.count(letter) <= 1


def test_assignment_is_optimal() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        orbits, positions = int(rng.integers(1, 5)), int(rng.integers(2, 6))
        cost = rng.random((orbits, positions))
        single = rng.random(positions) < 0.7
        single[-1] = False
        chosen = assign(cost, single)
        legal = [
            c
            for c in itertools.product(range(positions), repeat=orbits)
            if all(c.count(p) <= 1 for p in np.flatnonzero(single))
        ]
        assert all(chosen.tolist().count(p) <= 1 for p in np.flatnonzero(single))
        best = min(sum(cost[m, p] for m, p in enumerate(c)) for c in legal)
        assert cost[np.arange(orbits), chosen].sum() == pytest.approx(best)


def test_decoding_does_not_depend_on_the_batch() -> None:
    rng = np.random.default_rng(1)
    raw = sample(rng, rng.integers(1, 231, 40), 4)
    together = decode(**raw)
    for i in (0, 7, 39):
        orbits = slice(4 * i, 4 * i + 4)
        alone = decode(
            raw["space_group"][i : i + 1], raw["k"][i : i + 1], raw["element"][orbits], raw["position"][orbits],
            raw["site_symmetry"][orbits], np.array([0, 4]),
        )  # fmt: skip
        assert np.array_equal(alone.wyckoff, together.wyckoff[orbits])
        assert np.allclose(alone.position, together.position[orbits], atol=1e-12)


def test_illegal_codes_go_to_the_code_with_fewest_differing_axes() -> None:
    code = TABLE.site_symmetry[TABLE.row(62, "c")].copy()  # .m.
    code[13] = 2  # an axis that orthorhombic groups do not have
    raw = sample(np.random.default_rng(0), np.array([62]), 1)
    units = decode(**raw | {"site_symmetry": code[None]})
    assert units[0].letter == ("c",)
