"""Crystals as requests, and those that no potential can be asked about, with the reason that it has to give."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from tests.stability.prototypes import CRYSTALS

from symmcd.potentials.potential import Point, Request


def request(structure, lattice=None, positions=None, owner=None):
    return Request(
        structure.lattice.matrix if lattice is None else lattice,
        structure.frac_coords if positions is None else positions,
        np.array([site.specie.Z for site in structure]),
        owner=owner,
    )


def assert_reasons_and_points(potential, crowded, energy):
    """Every bad crystal has its reason, and a sound one beside it the point that it has alone.

    `crowded` is the edge in Å of a cell of one atom with too many neighbours, `energy` a tolerance in eV/atom.
    """
    bad = {
        "isolated_atoms": Structure(Lattice.cubic(15), ["Na"], [[0, 0, 0]]),
        "unknown_element:Po": Structure(Lattice.cubic(4), ["Po"], [[0, 0, 0]]),
        "nan_forces": Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0, 0, 0]]),
        "not_finite": Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [np.nan, 0, 0]]),
        "flat_cell": Structure([[4, 0, 0], [4, 1e-6, 0], [0, 0, 4]], ["Na"], [[0, 0, 0]]),
        "too_many_neighbours": Structure(Lattice.cubic(crowded), ["Na"], [[0, 0, 0]]),
    }
    good = CRYSTALS["rutile"]
    (alone,) = potential.evaluate([request(good)])
    points = potential.evaluate([request(c) for crystal in bad.values() for c in (crystal, good)])
    assert [str(point) for point in points[::2]] == list(bad)
    for point in points[1::2]:
        assert isinstance(point, Point)
        assert point.energy == pytest.approx(alone.energy, abs=energy)
        assert point.forces == pytest.approx(alone.forces, abs=1e-4)
