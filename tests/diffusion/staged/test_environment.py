"""Moments of the surroundings against a slow sum over a block of cells, in double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.lattice import BASIS
from symmcd.crystallography.orbit import replicate_flat
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.diffusion.staged import environment as module
from symmcd.diffusion.staged.environment import OrbitPairs, environment
from symmcd.diffusion.staged.flat_crystals import FlatCrystals
from tests.diffusion.crystals import random_units

BLOCK = np.stack(np.meshgrid(*[np.arange(-4, 5)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


def slow_moments(units, index: int) -> np.ndarray:
    """(n, n, RADIAL, COMPONENTS) of one crystal: sum over all atoms of 9³ cells."""
    crystals = replicate_flat(units)
    first, last = crystals.start[index : index + 2]
    x, orbit = crystals.position[first:last], crystals.orbit[first:last] - units.start[index]
    values, vectors = np.linalg.eigh(np.einsum("i,ijk->jk", units.k[index], BASIS))
    cell = (vectors * np.exp(values)) @ vectors.T
    cutoff = module.CUTOFF * (np.linalg.det(cell) / len(x)) ** (1 / 3)
    number = orbit.max() + 1
    centres = np.linspace(0, module.REACH, module.RADIAL)
    moments = np.zeros((number, number, module.COMPONENTS, module.RADIAL))
    for i in range(number):
        own = np.flatnonzero(orbit == i)[0]  # replication puts the representative first
        for atom in range(len(x)):
            vector = (x[atom] - x[own] + BLOCK) @ cell
            distance = np.linalg.norm(vector, axis=1)
            near = (distance < cutoff) & ((distance > 1e-9) if atom == own else True)
            v, d = vector[near], distance[near, None]
            u = v / (d + 1e-6)
            radial = np.exp(-(((d - centres) * (module.RADIAL - 1) / module.REACH) ** 2)) * (1 - (d / cutoff) ** 2) ** 2
            angular = np.concatenate(
                [np.ones_like(d), u, u**2, u[:, [0]] * u[:, [1]], u[:, [0]] * u[:, [2]], u[:, [1]] * u[:, [2]]], axis=1
            )
            moments[i, orbit[atom]] += np.einsum("er,ec->cr", radial, angular)
    return moments


@pytest.mark.parametrize("group", [2, 14, 62, 139, 166, 194, 216, 225])
def test_all_images_within_the_cutoff_are_counted(group):
    units = random_units(12, seed=group, largest=16, groups=(group,))
    crystals = FlatCrystals.from_units(units)
    pairs = OrbitPairs.of(crystals)
    found = environment(crystals, pairs, crystals.k, crystals.u)
    np.testing.assert_allclose(torch.linalg.det(found.cell), np.exp(3 * units.k[:, 5]), rtol=1e-4)
    height = 1 / np.linalg.norm(np.linalg.inv(found.cell.double().numpy()), axis=1)  # (B, 3) between lattice planes
    complete = module.CUTOFF * found.spacing.numpy() <= 1.5 * height.min(axis=1)
    assert complete.sum() >= 2
    start = 0
    for index, number in enumerate(np.diff(units.start)):
        if not complete[index]:
            start += number**2
            continue
        moments = found.moments[start : start + number**2].reshape(number, number, *found.moments.shape[1:])
        np.testing.assert_allclose(moments, slow_moments(units, index), atol=2e-3, rtol=2e-3)
        start += number**2
    assert start == len(found.moments)


def test_the_representative_is_no_neighbour_of_itself_and_its_images_are():
    """Simple cubic: six neighbours at a, twelve at √2 a, eight at √3 a, nothing at 0; 2 a is beyond the 27 cells."""
    a = 3.0
    crystals = FlatCrystals.from_units(
        AsymmetricUnits.from_units([AsymmetricUnit(221, a * np.eye(3), [84], ("a",), [[0, 0, 0]])])
    )
    found = environment(crystals, OrbitPairs.of(crystals), crystals.k, crystals.u).moments[0, 0].numpy()
    centres, width = np.linspace(0, module.REACH, module.RADIAL), module.REACH / (module.RADIAL - 1)
    cutoff = module.CUTOFF * a
    expected = np.zeros_like(found)
    for count, d in ((6, a), (12, 2**0.5 * a), (8, 3**0.5 * a)):
        expected += count * np.exp(-(((d - centres) / width) ** 2)) * (1 - (d / cutoff) ** 2) ** 2
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("group", [14, 62, 166, 194, 225])
def test_turns_are_sums_over_images_of_the_operations_that_make_them(group):
    units = random_units(4, seed=group, largest=12, groups=(group,))
    crystals, table = FlatCrystals.from_units(units), wyckoff_table()
    pairs = OrbitPairs.of(crystals)
    found = environment(crystals, pairs, crystals.k, crystals.u)
    height = 1 / np.linalg.norm(np.linalg.inv(found.cell.double().numpy()), axis=1)
    complete = module.CUTOFF * found.spacing.numpy() <= 1.5 * height.min(axis=1)
    checked = 0
    for row, (i, j) in enumerate(zip(pairs.i.tolist(), pairs.j.tolist(), strict=True)):
        crystal = int(crystals.crystal[i])
        if not complete[crystal]:
            continue
        cell, spacing = found.cell[crystal].double().numpy(), float(found.spacing[crystal])
        expected = np.zeros((3, 3, len(module.WINDOWS)))
        wyckoff = units.wyckoff[j]
        for number, operation in enumerate(
            table.operations[table.operation_start[wyckoff] : table.operation_start[wyckoff + 1]]
        ):
            member = operation[:, :3] @ units.position[j] + operation[:, 3]
            difference = member - units.position[i]
            distance = np.linalg.norm((difference - np.rint(difference) + BLOCK) @ cell, axis=1)
            near = distance[distance < module.CUTOFF * spacing]
            near = near[near > 1e-6] if i == j and number == 0 else near
            envelope = (1 - (near / (module.CUTOFF * spacing)) ** 2) ** 2
            windows = np.exp(-(((near[:, None] / spacing - module.WINDOWS) / module.WINDOW_WIDTH) ** 2))
            turn = cell.T @ operation[:, :3] @ np.linalg.inv(cell.T)  # of column vectors
            np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-5)
            expected += turn.T[:, :, None] * (windows * envelope[:, None]).sum(axis=0)
        np.testing.assert_allclose(found.turns[row], expected, atol=2e-3, rtol=2e-3)
        checked += 1
    assert checked >= 4


def test_reverse_pairs():
    pairs = OrbitPairs.of(FlatCrystals.from_units(random_units(9, seed=2, largest=6)))
    assert torch.equal(pairs.i[pairs.reverse], pairs.j)
    assert torch.equal(pairs.j[pairs.reverse], pairs.i)
