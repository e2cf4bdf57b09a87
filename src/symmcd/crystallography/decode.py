"""Exact asymmetric units from a model's raw output (paper, appendix A: projection), vectorised over a batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from symmcd.crystallography.assignment import assign
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits, numbered_labels
from symmcd.crystallography.consistency import crowded_crystals
from symmcd.crystallography.lattice import constrain, lattice_from_k
from symmcd.crystallography.projection import first_smallest, nearest_on_positions, rows_by_owner, to_generator_form
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

    orbit, row = rows_by_owner(first, count)
    difference = (table.site_symmetry[row] != site_symmetry[orbit]).sum(axis=1)
    offset = np.concatenate([[0], np.cumsum(count)])
    fewest = np.minimum.reduceat(difference, offset[:-1]) if len(element) else difference
    keep = difference == fewest[orbit]
    orbit, row = orbit[keep], row[keep]
    squared, image, point = nearest_on_positions(position[orbit], row, metric[crystal[orbit]])
    best = first_smallest(orbit, squared, len(element))
    wyckoff, image, point = row[best], image[best], point[best]

    for i in crowded_crystals(crystal, wyckoff):
        orbits = np.arange(start[i], start[i + 1])
        rows = np.arange(table.start[space_group[i] - 1], table.start[space_group[i]])
        pair_orbit, pair_row = np.repeat(orbits, len(rows)), np.tile(rows, len(orbits))
        squared, images, points = nearest_on_positions(
            position[pair_orbit], pair_row, np.broadcast_to(metric[i], (len(pair_row), 3, 3))
        )
        difference = (table.site_symmetry[pair_row] != site_symmetry[pair_orbit]).sum(axis=1)
        cost = (CODE_WEIGHT * difference + squared).reshape(len(orbits), len(rows))
        column = assign(cost, table.degrees_of_freedom[rows] == 0)
        chosen = np.arange(len(orbits)) * len(rows) + column
        wyckoff[orbits], image[orbits], point[orbits] = rows[column], images[chosen], points[chosen]

    return AsymmetricUnits(
        space_group=np.asarray(space_group, int),
        k=k,
        start=np.asarray(start, int),
        element=np.asarray(element, int),
        wyckoff=wyckoff,
        position=to_generator_form(point, image, wyckoff),
        label=np.array(numbered_labels(len(space_group)) if labels is None else labels, dtype=np.str_),
    )
