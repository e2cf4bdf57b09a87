"""Whole cells: one container, out of whatever crystals come in, and nothing changes what it is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.crystallography.prototypes import PROTOTYPES, prototype
from tests.structures.test_cif import assert_same

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.orbit import replicate_flat
from symmcd.errors import InputError
from symmcd.storage import write_units
from symmcd.structures.cell import Cell, cells_of
from symmcd.structures.convert import from_structure, to_atoms, to_structure
from symmcd.structures.crystal_file import read_crystal_file
from symmcd.structures.standard_cell import reduce_cells, standard_cell, symmetrised
from symmcd.structures.units import reduce
from symmcd.structures.write import write_extxyz

NAMES = sorted(PROTOTYPES)


@pytest.fixture
def units() -> AsymmetricUnits:
    return AsymmetricUnits.from_units([reduce(prototype(name)) for name in NAMES])


def test_both_files_of_a_set_have_the_same_crystals(units: AsymmetricUnits, tmp_path: Path) -> None:
    """units.npz exactly, crystals.extxyz to its ten decimals; the symmetry of the text is found again."""
    write_units(tmp_path / "units.npz", units)
    write_extxyz(tmp_path / "crystals.extxyz", replicate_flat(units), units)
    exact, text = read_crystal_file(tmp_path / "units.npz"), read_crystal_file(tmp_path / "crystals.extxyz")
    assert exact.ids == text.ids == [f"{i:05d}" for i in range(len(NAMES))]
    assert exact.space_group == text.space_group == units.space_group.tolist()
    for index, (unit, cell) in enumerate(zip(units, cells_of(replicate_flat(units)), strict=False)):
        assert (exact.cell(index).position == cell.position).all()
        assert_same(text.cell(index), cell, 1e-8)
        assert exact.composition(index) == text.composition(index) == unit.composition
        assert (exact.symmetric(index, 0.1).position == unit.position).all()
        assert text.symmetric(index, 0.1).space_group == unit.space_group


@pytest.mark.parametrize("name", NAMES)
def test_orbits_of_a_cell_are_those_of_its_unit(name: str) -> None:
    unit = reduce(prototype(name))
    (cell,) = cells_of(replicate_flat(AsymmetricUnits.from_units([unit])))
    assert len(cell) == unit.number_of_atoms
    assert cell.orbit is not None
    assert np.bincount(cell.orbit).tolist() == unit.multiplicity.tolist()
    assert (cell.element == unit.element[cell.orbit]).all()
    assert_same(from_structure(to_structure(cell)), cell, 1e-12)
    assert to_atoms(cell).numbers.tolist() == cell.element.tolist()


def test_what_is_given_stays_as_it_is() -> None:
    """Of a cell a little off its symmetry, the symmetric positions are new arrays."""
    cell = standard_cell(from_structure(prototype("ThCr2Si2")), 0.1)
    off = np.array(cell.position)
    off[3] += 0.003
    given = Cell(cell.lattice, cell.element, off, cell.space_group)
    for array in (given.lattice, given.element, given.position):
        array.setflags(write=False)
    position, orbits = symmetrised(given, 0.1)
    shift = position - off
    shift -= np.rint(shift)
    assert 1e-4 < np.abs(shift).max() < 0.01
    assert sorted(np.concatenate(orbits).tolist()) == list(range(len(given)))
    again, _ = symmetrised(Cell(cell.lattice, cell.element, position, cell.space_group), 1e-6)
    shift = again - position
    assert np.abs(shift - np.rint(shift)).max() < 1e-9
    units, kept, failures = reduce_cells([given, given], ["a", "b"], 0.1)
    assert (units.label.tolist(), kept, failures) == (["a", "b"], [0, 1], {})
    with pytest.raises(InputError, match="unknown space group"):
        symmetrised(from_structure(prototype("ThCr2Si2")), 0.1)


@pytest.mark.parametrize("name", ["a.cif", "cif.zip", "table.csv", "train.csv.gz", "structures.json"])
def test_files_that_only_evaluate_reads_are_refused(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(
        InputError, match=r"expected units\.npz or an extxyz file; `symmcd evaluate --relax` takes CIFs"
    ):
        read_crystal_file(tmp_path / name)
