"""Free numbers of a crystal: there and back between the primitive cell and the asymmetric unit, in every group."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Structure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.orbit import replicate_flat
from symmcd.crystallography.symmetric_cell import SymmetricCell
from symmcd.structures.convert import crystals_to_structures
from tests.diffusion.crystals import random_units


@pytest.mark.parametrize("number", range(1, 231))
def test_free_numbers_of_a_unit_make_the_unit_again(number):
    unit = random_units(1, seed=number, groups=(number,))[0]
    cell = SymmetricCell(unit)
    again = cell.unit(cell.start)
    assert (again.space_group, again.letter, again.element.tolist()) == (number, unit.letter, unit.element.tolist())
    assert np.allclose(again.lattice @ again.lattice.T, unit.lattice @ unit.lattice.T)
    assert np.allclose((again.position - unit.position + 0.5) % 1, 0.5)


@pytest.mark.parametrize("number", range(1, 231))
def test_a_moved_unit_is_the_crystal_whose_primitive_cell_is_given(number):
    """Against replication, which knows nothing of free numbers: same volume an atom, same distances from each atom."""
    unit = random_units(1, seed=number, largest=3, groups=(number,))[0]
    cell = SymmetricCell(unit)
    q = cell.start + np.random.default_rng(number).normal(0, 0.03, len(cell.start))
    lattice, position = cell.geometry(q)
    primitive = Structure(lattice, cell.element.tolist(), position)
    whole = crystals_to_structures(replicate_flat(AsymmetricUnits.from_units([cell.unit(q)])))[0]
    assert whole.volume / len(whole) == pytest.approx(primitive.volume / len(primitive))
    radius = 1.5 * (whole.volume / len(whole)) ** (1 / 3)

    def surroundings(structure: Structure) -> list[tuple[int, tuple[float, ...]]]:
        return sorted(
            (site.specie.Z, tuple(sorted(round(n.nn_distance, 5) for n in structure.get_neighbors(site, radius))))
            for site in structure
        )

    copies = len(whole) // len(primitive)
    expected = sorted(surroundings(primitive) * copies)
    found = surroundings(whole)
    for (z, near), (element, distances) in zip(found, expected, strict=True):
        assert z == element
        assert len(near) == len(distances)
        assert np.allclose(near, distances, atol=2e-5)
