"""Space groups that are found: spglib, which the metrics use, against moyopy."""

from __future__ import annotations

import moyopy
import numpy as np
import pytest

from symmcd.diffusion.pretrained import load_pretrained
from symmcd.metrics.found_symmetry import detected_group
from symmcd.structures.units import replicate
from tests.metrics.mp20 import mp20_units


def moyopys_group(structure, symprec: float) -> int:
    basis, positions, numbers = structure.lattice.matrix, structure.frac_coords, structure.atomic_numbers
    cell = moyopy.Cell(basis.tolist(), positions.tolist(), list(numbers))
    return moyopy.MoyoDataset(cell, symprec=symprec).number


def groups(units, symprec: float) -> tuple[np.ndarray, np.ndarray]:
    structures = [replicate(unit) for unit in units]
    ours = [detected_group(structure, symprec) for structure in structures]
    return np.array(ours), np.array([moyopys_group(structure, symprec) for structure in structures])


def test_generated_crystals_have_the_groups_that_a_second_program_finds():
    """Exact crystals at a tight tolerance: nothing is left to a tolerance's judgement."""
    units = load_pretrained(device="cpu").generate(120, seed=5, steps=20)
    spglibs, moyopys = groups(units, 1e-3)
    assert (spglibs == moyopys).all()
    asked = np.array([unit.space_group for unit in units])
    assert (spglibs == asked).mean() > 0.9  # the others lie by chance on special places: a supergroup


@pytest.mark.parametrize("symprec", [0.01, 0.1])
def test_real_crystals_have_the_groups_that_a_second_program_finds(symprec):
    """At a loose tolerance the programs may read it differently, in one crystal of a hundred."""
    units = mp20_units("test", 300)
    spglibs, moyopys = groups([units[i] for i in range(len(units))], symprec)
    assert (spglibs == moyopys).mean() >= 0.98
