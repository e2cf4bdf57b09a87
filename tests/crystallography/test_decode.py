"""Decoding of what a model hands over: nearest allowed positions, jointly, against exhaustive searches."""

from __future__ import annotations

import numpy as np
import pytest

from symmcd.crystallography.decode import decode
from symmcd.crystallography.lattice import lattice_from_k
from symmcd.crystallography.wyckoff import wyckoff_table
from tests.crystallography.exhaustive import exhaustive

TABLE = wyckoff_table()


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
    cells = lattice_from_k(units.k)
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
