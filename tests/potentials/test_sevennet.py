"""SevenNet's energies, forces and stresses of a batch against its package's own, one by one; what it refuses."""

import subprocess
import sys

import numpy as np
import pytest
from pymatgen.io.ase import AseAtomsAdaptor
from tests.potentials.refusals import assert_reasons_and_points, request
from tests.stability.prototypes import CRYSTALS, displaced

from symmcd.errors import InputError
from symmcd.extensions import POTENTIALS
from symmcd.potentials.potential import Point
from symmcd.stability.energies import energies
from symmcd.stability.geometry import primitive_cell
from symmcd.structures.units import reduce

NAMES = ("sevennet-0", "sevennet-l3i5")
THEIRS = {"sevennet-0": "7net-0_11jul2024", "sevennet-l3i5": "7net-l3i5"}


def mixed():
    """More than 20 crystals of 1 to 40 atoms, most off their ideal places; caesium has no neighbour within 5 Å."""
    crystals = [primitive_cell(CRYSTALS[name]) for name in ("tungsten", "caesium")]
    crystals += [displaced(primitive_cell(c), 0.05, n) for n, c in enumerate(CRYSTALS.values())]
    crystals += [displaced(primitive_cell(c), 0.2, n) for n, c in enumerate(CRYSTALS.values())]
    crystals.append(displaced(CRYSTALS["rutile"].make_supercell([2, 2, 1], in_place=False), 0.05))
    return crystals


@pytest.fixture(scope="module", params=NAMES)
def name(request):
    pytest.importorskip("sevenn", reason="of the extra `judge`")
    return request.param


@pytest.fixture(scope="module")
def potential(name):
    return POTENTIALS[name].load("cpu")


@pytest.mark.filterwarnings("ignore")
def test_a_batch_is_what_the_package_says_one_by_one(name, potential):
    from sevenn.calculator import SevenNetCalculator

    crystals = mixed()
    assert len(crystals) > 20
    calculator = SevenNetCalculator(THEIRS[name], device="cpu")
    for crystal, point in zip(crystals, potential.evaluate([request(c) for c in crystals]), strict=True):
        atoms = AseAtomsAdaptor.get_atoms(crystal)
        atoms.calc = calculator
        size = max(1, np.abs(atoms.get_forces()).max() / 10)  # single precision: at 20 eV/Å it shows
        assert point.energy == pytest.approx(atoms.get_potential_energy() / len(atoms), abs=1e-5)
        assert point.forces == pytest.approx(atoms.get_forces(), abs=1e-4 * size)
        assert point.virial / crystal.volume == pytest.approx(atoms.get_stress(voigt=False), abs=1e-5 * size)


def test_energies_in_small_calls_are_the_same(potential, monkeypatch):
    requests = [request(crystal) for crystal in mixed()[:6]]
    together = [point.energy for point in potential.evaluate(requests, forces=False)]
    monkeypatch.setattr(potential, "batch_cost", 1)
    assert [point.energy for point in potential.evaluate(requests)] == pytest.approx(together, abs=2e-6)


def test_what_cannot_be_computed_has_a_reason_and_the_others_a_point(potential):
    assert_reasons_and_points(potential, crowded=0.25, energy=1e-5)


def test_energies_of_asymmetric_units_are_those_of_whole_crystals(potential):
    crystals = list(CRYSTALS.values())[:4]
    found = energies([reduce(crystal) for crystal in crystals], potential)
    whole = potential.evaluate([request(crystal) for crystal in crystals], forces=False)
    assert [energy.value for energy in found] == pytest.approx([point.energy for point in whole], abs=1e-5)


def test_another_rock_salt_is_refused():
    pytest.importorskip("sevenn", reason="of the extra `judge`")
    from symmcd.potentials.sevennet.potential import check_rock_salt

    class Shifted:
        def evaluate(self, requests, *, forces):
            assert not forces
            return [Point(-3.38 + self.shift) for _ in requests]

    potential = Shifted()
    potential.shift = 0.04
    check_rock_salt(potential, "SevenNet")
    potential.shift = -0.06
    with pytest.raises(InputError, match=r"rock salt has the formation energy -2\.1.*damaged or from another version"):
        check_rock_salt(potential, "SevenNet")


def test_without_the_extra_one_line_says_how_to_get_it():
    code = (
        "import sys; sys.modules['sevenn'] = None\n"
        "from symmcd.errors import InputError\nfrom symmcd.extensions import POTENTIALS\n"
        "try:\n    POTENTIALS['sevennet-0'].load('cpu')\nexcept InputError as error:\n    print(error)\n"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "'sevenn' is not installed; run `pip install 'symmcd[judge]'`" in printed
    assert printed.count("\n") == 1
