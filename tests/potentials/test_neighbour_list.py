"""Bonds listed once, and divided by a space group: against all pairs counted by brute force."""

import itertools

import numpy as np
import pytest
from tests.stability.prototypes import CRYSTALS

from symmcd.crystallography.symmetric_cell import SymmetricCell
from symmcd.potentials.neighbour_list import bond_orbits, check_cell, half_list
from symmcd.potentials.potential import UnusableCrystalError
from symmcd.structures.units import reduce

RADIUS = 4.3  # Å


def lengths(lattice, position, first, second, image):
    return np.linalg.norm((position[second] + image - position[first]) @ lattice, axis=1)


@pytest.mark.parametrize("name", ["tungsten", "rutile", "corundum", "wurtzite"])
def test_each_pair_is_listed_once(name):
    cell = SymmetricCell(reduce(CRYSTALS[name]))
    lattice, position = cell.geometry(cell.start)
    found = half_list(lattice, position, RADIUS)
    images = np.array(list(itertools.product(range(-5, 6), repeat=3)))
    apart = position[None, :, None] + images - position[:, None, None]
    distance = np.linalg.norm(apart @ lattice, axis=3)
    directed = ((distance < RADIUS) & (distance > 1e-6)).sum()
    assert 2 * len(found[0]) == directed
    assert np.sort(lengths(lattice, position, *found)) == pytest.approx(
        np.sort(distance[(distance < RADIUS) & (distance > 1e-6)])[::2]
    )


@pytest.mark.parametrize("name", ["tungsten", "rutile", "corundum", "orthorhombic perovskite"])
def test_bonds_of_a_kind_are_equally_long_and_none_is_lost(name):
    cell = SymmetricCell(reduce(CRYSTALS[name]))
    lattice, position = cell.geometry(cell.start)
    kinds = bond_orbits(cell, lattice, position, RADIUS)
    length = lengths(lattice, position, kinds.first, kinds.second, kinds.image)
    assert kinds.bond_count.sum() == len(length) == len(half_list(lattice, position, RADIUS)[0])
    assert length == pytest.approx(length[kinds.bond][kinds.bond_of[: len(length)]])
    assert len(kinds.bond) < len(length)
    assert np.bincount(kinds.bond_of[: len(length)]).tolist() == kinds.bond_count.tolist()


@pytest.mark.parametrize(
    ("lattice", "reason"),
    [
        (np.eye(3) * np.nan, "not_finite"),
        (np.diag([4, 4, 1e-6]), "flat_cell"),
        (np.eye(3) * 0.2, "too_many_neighbours"),
    ],
)
def test_what_has_no_list_is_refused(lattice, reason):
    with pytest.raises(UnusableCrystalError, match=reason):
        check_cell(lattice, np.zeros((1, 3)), 6.5)
