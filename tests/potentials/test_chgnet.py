"""Energies, forces and stresses of a batch against CHGNet's own and against differences of energies; both networks."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from pymatgen.analysis.prototypes import AFLOW_PROTOTYPE_LIBRARY
from pymatgen.core import Lattice, Structure
from tests.potentials.refusals import assert_reasons_and_points, request
from tests.stability.prototypes import CRYSTALS, displaced

from symmcd.crystallography.symmetric_cell import SymmetricCell
from symmcd.errors import InputError
from symmcd.potentials.chgnet.entry import R2SCAN
from symmcd.potentials.chgnet.model import check_request, load_chgnet
from symmcd.potentials.chgnet.potential import ChgnetPotential, check_rock_salt
from symmcd.potentials.chgnet.weights import CHGNET, CHGNET_R2SCAN
from symmcd.potentials.potential import Point, Request, UnusableCrystalError
from symmcd.stability.batch_relaxation import relax_many
from symmcd.stability.energies import energies
from symmcd.stability.geometry import primitive_cell
from symmcd.stability.hull_entries import elemental_energies
from symmcd.stability.outcome import Limits
from symmcd.structures.units import reduce

GPA = 160.21766208  # in an eV/Å3


def test_blas_has_one_thread_where_nothing_says_otherwise():
    """As torch has; SciPy's has threads for the small matrices of FIRE, which then take a hundred times longer."""
    code = (
        "import threadpoolctl, torch; from symmcd.extensions import POTENTIALS; POTENTIALS['chgnet'].load('cpu')\n"
        "import scipy.linalg, symmcd.stability.fire\n"
        "blas = [pool['num_threads'] for pool in threadpoolctl.threadpool_info() if pool['user_api'] == 'blas']\n"
        "print(torch.get_num_threads(), len(blas) > 0, set(blas))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    printed = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert printed.stdout.split("\n")[-2] == "1 True {1}"


@pytest.fixture(scope="module", params=[CHGNET, CHGNET_R2SCAN], ids=["0.3.0", "r2scan"])
def weights(request):
    return request.param


@pytest.fixture(scope="module")
def model(weights):
    return load_chgnet("cpu", weights)


@pytest.fixture(scope="module")
def potential(weights):
    return ChgnetPotential(load_chgnet("cpu", weights), weights)


class Owner:
    """Who asks, from step to step."""


def mixed():
    """1 to 20 atoms, off their ideal places, one without angles."""
    crystals = [primitive_cell(CRYSTALS["tungsten"]), primitive_cell(CRYSTALS["caesium"])]
    return crystals + [displaced(primitive_cell(c), 0.05, n) for n, c in enumerate(CRYSTALS.values())]


def test_batch_is_what_chgnet_predicts_one_by_one(model, potential):
    crystals = mixed()
    assert {1, 20} <= {len(crystal) for crystal in crystals}
    points = potential.evaluate([request(crystal) for crystal in crystals])
    for crystal, point in zip(crystals, points, strict=True):
        theirs = model.predict_structure(crystal, task="efs")
        assert point.energy == pytest.approx(float(theirs["e"]), abs=1e-5)
        assert point.forces == pytest.approx(theirs["f"], abs=1e-4)
        assert point.virial / crystal.volume == pytest.approx(theirs["s"] / GPA, abs=1e-5)


def test_energies_in_the_asymmetric_unit_are_chgnets_own(model, potential):
    """Whole crystals through CHGNet one by one; one that it does not know does not stop the others."""
    crystals = [*CRYSTALS.values(), Structure(Lattice.cubic(3.35), ["Po"], [[0, 0, 0]])]
    *found, unknown = energies([reduce(crystal) for crystal in crystals], potential)
    for crystal, energy in zip(crystals, found, strict=False):
        theirs = float(model.predict_structure(primitive_cell(crystal), task="e")["e"])
        assert (energy.status, energy.value) == ("ok", pytest.approx(theirs, abs=1e-5))
    assert (unknown.status, unknown.value) == ("failed:unknown_element:Po", None)


def test_energies_of_prototypes_are_chgnets_own(model, potential):
    """More than 200 compounds of AFLOW's prototypes, as published, of all kinds of elements."""
    crystals = [entry["snl"].structure for entry in AFLOW_PROTOTYPE_LIBRARY]
    crystals = [c for c in crystals if len(c) <= 12 and {s.specie.Z for s in c} <= potential.elements]
    assert len(crystals) > 200
    points = potential.evaluate([request(crystal) for crystal in crystals], forces=False)
    computed = [(c, p) for c, p in zip(crystals, points, strict=True) if isinstance(p, Point)]
    assert len(computed) > 200
    theirs = model.predict_structure([crystal for crystal, _ in computed], task="e", batch_size=32)
    assert [point.energy for _, point in computed] == pytest.approx([float(e["e"]) for e in theirs], abs=1e-5)


def test_far_from_equilibrium_ours_is_nearer_to_double_precision(weights, model, potential):
    """At 100 eV/Å single precision shows: CHGNet in double precision decides who is right."""
    crystal = displaced(CRYSTALS["orthorhombic perovskite"], 0.6, 1)
    ours, theirs = potential.evaluate([request(crystal)])[0].forces, model.predict_structure(crystal, task="ef")["f"]
    double = load_chgnet("cpu", weights).double()
    double.composition_model = None  # it insists on single precision, and knows no forces
    graph = double.graph_converter(crystal)
    graph.lattice, graph.neighbor_image = torch.tensor(crystal.lattice.matrix), graph.neighbor_image.double()
    graph.atom_frac_coord = torch.tensor(crystal.frac_coords, requires_grad=True)
    torch.set_default_dtype(torch.float64)
    try:
        exact = double.forward([graph], task="ef")["f"][0].detach().numpy()
    finally:
        torch.set_default_dtype(torch.float32)
    assert np.abs(exact).max() > 10
    assert np.abs(ours - exact).max() < min(2e-5 * np.abs(exact).max(), np.abs(theirs - exact).max())


def test_forces_and_stress_are_slopes_of_the_energy(potential):
    """Central differences; loose, as energies are single precision (about 1e-6 eV per atom)."""
    crystal = displaced(CRYSTALS["rutile"], 0.1)
    lattice, positions, h = crystal.lattice.matrix, crystal.frac_coords, 0.01
    point = potential.evaluate([request(crystal)])[0]
    requests = []
    for sign in (1, -1):
        for atom, axis in ((0, 0), (3, 1), (5, 2)):
            shift = np.zeros((len(crystal), 3))
            shift[atom, axis] = sign * h
            requests.append(request(crystal, positions=positions + shift @ np.linalg.inv(lattice)))
        for i, j in ((0, 0), (2, 2), (0, 1)):
            strain = np.zeros((3, 3))
            strain[i, j] = sign * h
            requests.append(request(crystal, lattice=lattice @ (np.eye(3) + strain)))
    energy = len(crystal) * np.array([p.energy for p in potential.evaluate(requests)])
    up, down = energy.reshape(2, 6)
    slope = (up - down) / (2 * h)
    assert -slope[:3] == pytest.approx([point.forces[0, 0], point.forces[3, 1], point.forces[5, 2]], abs=0.02)
    stress = point.virial / crystal.volume
    assert slope[3:] / crystal.volume == pytest.approx([stress[0, 0], stress[2, 2], stress[0, 1]], abs=1e-3)


def test_kept_neighbour_list_changes_nothing(potential):
    """Atoms wander from their start: the list is kept while it holds, and the numbers are those of a fresh one."""
    start = CRYSTALS["orthorhombic perovskite"]
    kept = Owner()
    direction = displaced(start, 1.0).cart_coords - start.cart_coords
    for distance in np.linspace(0, 0.6, 9):
        lattice = start.lattice.matrix @ (np.eye(3) * (1 - distance / 20))
        positions = (start.cart_coords + distance * direction) @ np.linalg.inv(start.lattice.matrix)
        fresh = request(start, lattice, positions)
        old, new = potential.evaluate([request(start, lattice, positions, kept), fresh])
        assert old.energy == pytest.approx(new.energy, abs=5e-6)
        assert old.forces == pytest.approx(new.forces, abs=2e-4, rel=3e-6)  # some have 200 eV/Å
    assert 1 < potential.neighbours(request(start, owner=kept)).built < 9


def test_angles_that_form_in_a_growing_cell_are_listed(potential):
    """A pair listed as a bond comes within CHGNet's 3 Å for angles, while the cell around it grows by 10 %."""
    start = Structure(np.diag([6.0, 6, 4.8]), ["Na", "Cl", "Mg"], [[0, 0, 0], [3.51 / 6, 0, 0], [0, 0, 0.5]])
    kept = Owner()
    potential.evaluate([request(start, owner=kept)])
    lattice = start.lattice.matrix * 1.1
    positions = start.frac_coords.copy()
    positions[0, 0] += 0.55 / lattice[0, 0]
    positions[1, 0] -= 0.55 / lattice[0, 0]
    assert (positions[1] - positions[0])[0] * lattice[0, 0] == pytest.approx(2.76, abs=0.01)
    old, new = potential.evaluate([request(start, lattice, positions, kept), request(start, lattice, positions)])
    assert old.energy == pytest.approx(new.energy, abs=1e-5)
    assert old.forces == pytest.approx(new.forces, abs=1e-4)


@pytest.mark.parametrize("name", CRYSTALS)
def test_quotient_by_symmetry_is_the_whole_crystal(potential, name):
    """Energy, forces and virial from one atom, bond and angle of each kind; averaging leaves the whole as it is."""
    unit = reduce(CRYSTALS[name])
    cell = SymmetricCell(unit)
    lattice, position = cell.geometry(cell.start)
    assert len(cell.element) == len(primitive_cell(CRYSTALS[name]))
    whole, quotient = potential.evaluate(
        [
            Request(lattice, position, cell.element),
            Request(lattice, position, cell.element, symmetry=cell),
        ]
    )
    assert quotient.energy == pytest.approx(whole.energy, abs=1e-5)
    forces, virial = cell.symmetrised(lattice, quotient.forces, quotient.virial)
    assert forces == pytest.approx(whole.forces, abs=1e-4)
    assert virial == pytest.approx(whole.virial, abs=1e-3)
    assert cell.symmetrised(lattice, whole.forces, whole.virial)[0] == pytest.approx(whole.forces, abs=1e-4)


def test_what_cannot_be_computed_has_a_reason_and_the_others_a_point(potential):
    assert_reasons_and_points(potential, crowded=0.6, energy=2e-5)


def test_check_names_the_reason():
    check_request(request(CRYSTALS["rutile"]))
    with pytest.raises(UnusableCrystalError, match="isolated_atoms"):
        check_request(request(Structure(Lattice.cubic(7), ["Na"], [[0, 0, 0]])))


# --- what differs between the networks -------------------------------------------------------------------------------


def test_r2scan_knows_the_elements_whose_embeddings_moved_from_those_of_0_3_0():
    """The file has no list of them; what no crystal of its training has stays as it was, to the last bit."""
    before, after = (w.read()["model"]["state_dict"] for w in (CHGNET, CHGNET_R2SCAN))
    assert {name: value.shape for name, value in before.items()} == {name: v.shape for name, v in after.items()}
    moved = (before["atom_embedding.embedding.weight"] != after["atom_embedding.embedding.weight"]).any(dim=1)
    reference = after["composition_model.fc.weight"].view(-1)
    assert {number + 1 for number in moved.nonzero().view(-1).tolist()} == CHGNET_R2SCAN.elements
    assert {number + 1 for number in (reference.abs() > 1e-6).nonzero().view(-1).tolist()} == CHGNET_R2SCAN.elements
    assert CHGNET.elements - CHGNET_R2SCAN.elements == {70}


def test_both_networks_have_one_architecture():
    before, after = (dict(w.read()["model"]["model_args"]) for w in (CHGNET, CHGNET_R2SCAN))
    assert (before.pop("composition_model"), after.pop("composition_model")) == ("MPtrj", "MP-r2SCAN")
    assert before == after


def test_rock_salt_of_another_energy_is_refused(weights, potential):
    check_rock_salt(potential, weights)
    with pytest.raises(InputError, match=r"rock salt has the energy -\d\.\d+ .*run `pip install .*chgnet==0.4.2"):
        check_rock_salt(potential, dataclasses.replace(weights, rock_salt=weights.rock_salt + 2e-4))


@pytest.mark.parametrize("method", ["unconstrained", "symmetry"])
@pytest.mark.parametrize(("element", "length"), [("W", 3.3), ("Na", 4.3)])
def test_an_energy_of_another_zero_is_no_explosion(method, element, length):
    """Tungsten has -51 eV/atom on the scale of r2SCAN, where -16 would be the end on that of PBE."""
    potential = ChgnetPotential(load_chgnet("cpu", CHGNET_R2SCAN), CHGNET_R2SCAN)
    crystal = Structure(Lattice.cubic(length), [element] * 2, [[0, 0, 0], [0.5, 0.5, 0.5]])
    start = reduce(crystal) if method == "symmetry" else crystal
    ((_, found),) = relax_many([start], potential, method, limits=Limits(fmax=0.01))
    assert found.status == "converged"
    assert found.energy_initial > found.energy_relaxed
    table = elemental_energies("chgnet-r2scan")[element].energy_per_atom
    assert found.energy_relaxed == pytest.approx(table, abs=0.01)


def test_r2scan_has_elemental_energies_of_its_own():
    table = elemental_energies("chgnet-r2scan")
    numbers = {Structure(Lattice.cubic(3), [symbol], [[0, 0, 0]])[0].specie.Z for symbol in table}
    assert numbers == R2SCAN.elements
    # formation energy of rock salt: -411 kJ/mol at room temperature, as measured (CRC Handbook), are -2.13 eV/atom
    energy = CHGNET_R2SCAN.rock_salt - (table["Na"].energy_per_atom + table["Cl"].energy_per_atom) / 2
    assert energy == pytest.approx(-2.13, abs=0.15)
