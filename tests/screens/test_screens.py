"""Screens of known crystals: what hangs together, how much room there is, what charges atoms have."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from symmcd import InputError
from symmcd.extensions import SCREENS, Screen
from symmcd.screens.bonds import BONDED, dimensionality, shortest_distance
from symmcd.screens.chemistry import oxidation_states, radioactive, scarce
from symmcd.screens.columns import screened, usable
from symmcd.screens.crystal import ScreenedCrystal
from symmcd.screens.relaxation import volume_change
from symmcd.screens.voids import channel, largest_void, percolates

crystal = Structure.from_spacegroup

KNOWN = {
    "NaCl": (3, crystal("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])),
    "CsCl": (3, crystal("Pm-3m", Lattice.cubic(4.12), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])),
    "Cu": (3, crystal("Fm-3m", Lattice.cubic(3.61), ["Cu"], [[0, 0, 0]])),
    "K": (3, crystal("Im-3m", Lattice.cubic(5.33), ["K"], [[0, 0, 0]])),
    "rutile": (3, crystal("P4_2/mnm", Lattice.tetragonal(4.59, 2.96), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]])),
    "MoS2": (2, crystal("P6_3/mmc", Lattice.hexagonal(3.16, 12.3), ["Mo", "S"], [[1/3, 2/3, 0.25], [1/3, 2/3, 0.621]])),
    "graphite": (2, crystal("P6_3/mmc", Lattice.hexagonal(2.46, 6.71), ["C", "C"], [[0, 0, 0.25], [1/3, 2/3, 0.25]])),
    "CdI2": (2, crystal("P-3m1", Lattice.hexagonal(4.24, 6.84), ["Cd", "I"], [[0, 0, 0], [1/3, 2/3, 0.249]])),
    "Se": (1, crystal("P3_121", Lattice.hexagonal(4.366, 4.954), ["Se"], [[0.225, 0, 1/3]])),
    "I2": (0, crystal("Cmce", Lattice.orthorhombic(7.14, 4.69, 9.78), ["I"], [[0, 0.154, 0.117]])),
}  # fmt: skip


def of(name: str) -> ScreenedCrystal:
    return ScreenedCrystal(KNOWN[name][1])


@pytest.mark.parametrize("name", KNOWN)
def test_frameworks_layers_chains_and_molecules(name):
    assert dimensionality(of(name)) == KNOWN[name][0]
    structure = KNOWN[name][1]
    assert dimensionality(ScreenedCrystal(structure * (2, 1, 1))) == KNOWN[name][0]


@pytest.mark.parametrize("name", KNOWN)
def test_shortest_distances_are_those_of_pymatgen(name):
    from ase.data import covalent_radii

    structure = KNOWN[name][1] * (2, 2, 2)
    pairs = itertools.combinations(range(len(structure)), 2)
    radius = covalent_radii[list(structure.atomic_numbers)]
    expected = min(structure.get_distance(i, j) / (radius[i] + radius[j]) for i, j in pairs)
    assert shortest_distance(of(name)) == pytest.approx(expected, abs=1e-6)
    assert expected < BONDED


def test_voids_of_simple_crystals_are_those_of_geometry():
    """The hole between four sodium atoms, the window between two; the tetrahedral and the octahedral hole of fcc."""
    na, cu, a = 1.66, 1.32, 3.61
    assert largest_void(of("NaCl")) == pytest.approx(5.64 * 3**0.5 / 4 - na, abs=0.01)
    assert largest_void(of("Cu")) == pytest.approx(a / 2 - cu, abs=0.01)
    # between octahedral holes one passes the tetrahedral one, through a triangle of three atoms
    assert channel(of("Cu")) == pytest.approx(a / 2**0.5 / 3**0.5 - cu, abs=0.05)
    assert channel(of("graphite")) == pytest.approx(6.71 / 4 - 0.76, abs=0.25)  # between two layers


def test_channels_do_not_depend_on_the_cell():
    for name in ("rutile", "MoS2"):
        whole = channel(of(name))
        assert channel(ScreenedCrystal(KNOWN[name][1] * (2, 1, 1))) == pytest.approx(whole, abs=0.1)
        assert channel(of(name)) <= largest_void(of(name))


def test_what_leads_on_and_what_does_not():
    closed = np.zeros((6, 6, 6), dtype=bool)
    closed[2:4, 2:4, 2:4] = True
    over_a_face = np.roll(closed, 3, axis=0)  # in one piece, but in two cells
    line = closed.copy()
    line[2, 2, :] = True
    oblique = np.zeros((6, 6, 6), dtype=bool)
    oblique[range(6), range(6), 3] = True
    apart = np.zeros((6, 6, 6), dtype=bool)
    apart[0], apart[3] = True, True
    assert [percolates(points) for points in (closed, over_a_face, line, oblique, apart, ~closed)] == [
        False, False, True, True, True, True,
    ]  # fmt: skip


def test_charges_and_elements():
    assert oxidation_states(of("rutile")) == "Ti4+ O2-"
    assert oxidation_states(of("NaCl")) == "Na+ Cl-"
    assert oxidation_states(of("Cu")) == ""
    gold = crystal("Pm-3m", Lattice.cubic(3.9), ["Au", "Tc"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    assert (radioactive(ScreenedCrystal(gold)), scarce(ScreenedCrystal(gold))) == ("Tc", "Au")
    assert (radioactive(of("NaCl")), scarce(of("NaCl"))) == ("", "")


def test_a_change_of_volume_is_that_of_an_atom():
    small, large = KNOWN["Cu"][1], KNOWN["Cu"][1].copy() * (2, 1, 1)
    large.scale_lattice(large.volume * 1.5)
    assert volume_change(ScreenedCrystal(large, small)) == pytest.approx(50)
    assert volume_change(ScreenedCrystal(large)) is None


def test_columns_of_many_crystals_and_of_one_that_takes_too_long():
    with pytest.raises(InputError, match="no screen named 'dimensionalty'; did you mean 'dimensionality'"):
        screened([of("Cu")], ["dimensionalty"])
    names = ["dimensionality", "radioactive", "oxidation_states"]
    rows = screened([of("Cu"), of("MoS2")], names, processes=1)
    assert rows == [
        {"dimensionality": 3, "radioactive": "", "oxidation_states": ""},
        {"dimensionality": 2, "radioactive": "", "oxidation_states": "Mo4+ S2-"},
    ]
    assert screened([of("rutile")], ["oxidation_states"], seconds=1e-6) == [{"oxidation_states": None}]
    assert screened([], names) == []


def test_every_shipped_screen_is_described_and_found():
    for name in SCREENS.shipped:
        entry = SCREENS[name]
        assert isinstance(entry, Screen)
        assert entry.sentence.endswith(".")
        assert callable(entry.load())
    assert set(usable()) >= {name for name in SCREENS.shipped if not SCREENS[name].package}
