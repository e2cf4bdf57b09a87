"""From a model's raw output to exact asymmetric units (paper, appendix A: projection), vectorised over a batch."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from symmcd.crystallography.assignment import assign
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits, numbered_labels
from symmcd.crystallography.lattice import constrain, lattice_from_k
from symmcd.crystallography.orbit import wrap
from symmcd.crystallography.projection import nearest_on_images, ranges
from symmcd.crystallography.wyckoff import wyckoff_table

CODE_WEIGHT = 1e6
"""Å² that one differing axis of the site-symmetry code costs in a joint assignment: the code decides, then distance."""


def decode(
    space_group: np.ndarray,
    k: np.ndarray,
    element: np.ndarray,
    position: np.ndarray,
    site_symmetry: np.ndarray,
    start: np.ndarray,
    labels: Sequence[str] | None = None,
) -> AsymmetricUnits:
    """Exact asymmetric units nearest to sampled ones.

    Each representative goes to a Wyckoff position whose code differs from the sampled one on the fewest axes
    (the paper's Frobenius distance), and among those to the nearest point in Å, over all images and lattice
    translates; it is then moved to the equivalent point in generator form.  Where two orbits of a crystal would share
    a position without freedom, the crystal is assigned jointly, at the least total code difference and then distance.

    Args:
        space_group: (B,) 1..230.
        k: (B, 6) lattice coefficients; those that the group fixes are overwritten.
        element: (A,) atomic numbers.
        position: (A, 3) fractional.
        site_symmetry: (A, 15) class indices.
        start: (B + 1,) crystal i has orbits start[i]:start[i+1].
        labels: (B,) names; zero-padded numbers by default.
    """
    table = wyckoff_table()
    k = constrain(np.asarray(k, float), space_group)
    cell = lattice_from_k(k)
    metric = cell @ np.swapaxes(cell, 1, 2)
    crystal = np.repeat(np.arange(len(space_group)), np.diff(start))
    first = table.start[space_group[crystal] - 1]
    count = table.start[space_group[crystal]] - first

    orbit, row = ranges(first, count)
    difference = (table.site_symmetry[row] != site_symmetry[orbit]).sum(axis=1)
    offset = np.concatenate([[0], np.cumsum(count)])
    fewest = np.minimum.reduceat(difference, offset[:-1]) if len(element) else difference
    keep = difference == fewest[orbit]
    orbit, row = orbit[keep], row[keep]
    squared, image, point = _nearest(position[orbit], row, metric[crystal[orbit]])
    best = _first_smallest(orbit, squared, len(element))
    wyckoff, image, point = row[best], image[best], point[best]

    for i in _conflicting(crystal, wyckoff):
        orbits = np.arange(start[i], start[i + 1])
        rows = np.arange(table.start[space_group[i] - 1], table.start[space_group[i]])
        pair_orbit, pair_row = np.repeat(orbits, len(rows)), np.tile(rows, len(orbits))
        squared, images, points = _nearest(
            position[pair_orbit], pair_row, np.broadcast_to(metric[i], (len(pair_row), 3, 3))
        )
        difference = (table.site_symmetry[pair_row] != site_symmetry[pair_orbit]).sum(axis=1)
        cost = (CODE_WEIGHT * difference + squared).reshape(len(orbits), len(rows))
        column = assign(cost, table.degrees_of_freedom[rows] == 0)
        chosen = np.arange(len(orbits)) * len(rows) + column
        wyckoff[orbits], image[orbits], point[orbits] = rows[column], images[chosen], points[chosen]

    return AsymmetricUnits(
        space_group=np.asarray(space_group, int),
        lattice=k,
        start=np.asarray(start, int),
        element=np.asarray(element, int),
        wyckoff=wyckoff,
        position=to_generator_form(point, image, wyckoff),
        label=np.array(numbered_labels(len(space_group)) if labels is None else labels, dtype=np.str_),
    )


def to_generator_form(point: np.ndarray, image: np.ndarray, wyckoff: np.ndarray) -> np.ndarray:
    """Equivalent points (n, 3) in generator form, exact and in [0, 1), of points that lie on images."""
    table = wyckoff_table()
    operation = table.image_operation[image]
    inverse = np.rint(np.linalg.inv(operation[:, :, :3]))
    moved = (inverse @ (point - operation[:, :, 3])[:, :, None])[..., 0]
    # `moved` may lie on a lattice translate of the generator subspace; the template has integer coefficients and is
    # idempotent, so applying it takes away just that translation
    template = table.generator[wyckoff]
    return wrap((template[:, :, :3] @ moved[:, :, None])[..., 0] + template[:, :, 3])


def _nearest(point: np.ndarray, row: np.ndarray, metric: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nearest point on a position, over all its images: squared distance (n,), image (n,), point (n, 3)."""
    table = wyckoff_table()
    first, count = table.image_start[row], np.diff(table.image_start)[row]
    squared, image, nearest = np.empty(len(row)), np.empty(len(row), int), np.empty((len(row), 3))
    ends = np.cumsum(count)
    for begin, end in _chunks(ends, 200_000):
        owner, candidate = ranges(first[begin:end], count[begin:end])
        points, distances = nearest_on_images(point[begin:end][owner], candidate, metric[begin:end][owner])
        best = _first_smallest(owner, distances, end - begin)
        squared[begin:end], image[begin:end], nearest[begin:end] = distances[best], candidate[best], points[best]
    return squared, image, nearest


def _chunks(ends: np.ndarray, size: int) -> list[tuple[int, int]]:
    """Ranges of owners with about `size` candidates each, from the running totals of their candidates."""
    if not len(ends):
        return []
    cuts = np.unique(np.searchsorted(ends, np.arange(0, ends[-1], size)[1:]))
    bounds = np.unique(np.concatenate([[0], cuts, [len(ends)]])).tolist()
    return list(itertools.pairwise(bounds))


def _first_smallest(owner: np.ndarray, value: np.ndarray, owners: int) -> np.ndarray:
    """Index of each owner's smallest value; the first where values agree to 1e-9, so that rounding decides no tie."""
    smallest = np.full(owners, np.inf)
    np.minimum.at(smallest, owner, value)
    good = np.flatnonzero(value <= smallest[owner] + 1e-9)
    _, first = np.unique(owner[good], return_index=True)
    return good[first]


def _conflicting(crystal: np.ndarray, wyckoff: np.ndarray) -> np.ndarray:
    """Crystals in which two orbits share a position without freedom."""
    table = wyckoff_table()
    single = np.flatnonzero(table.degrees_of_freedom[wyckoff] == 0)
    keys, counts = np.unique(crystal[single] * len(table.letter) + wyckoff[single], return_counts=True)
    return np.unique(keys[counts > 1] // len(table.letter))
