"""Relaxations of a batch: FIRE as StructOptimizer has it, BFGS with the space group kept, a status for each crystal."""

import dataclasses

import numpy as np
import pytest
import torch
from pymatgen.core import Lattice, Structure
from tests.stability.prototypes import CRYSTALS, displaced

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.lattice import free_coefficients
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.potentials.chgnet.model import load_chgnet
from symmcd.potentials.chgnet.network import Network
from symmcd.potentials.chgnet.potential import ChgnetPotential
from symmcd.potentials.chgnet.struct_optimizer import optimise
from symmcd.potentials.potential import Request
from symmcd.stability import batch_relaxation
from symmcd.stability.batch_relaxation import relax_many
from symmcd.stability.constrained import SymmetricRelaxation
from symmcd.stability.geometry import primitive_cell
from symmcd.stability.outcome import Limits
from symmcd.stability.own_optimiser import relax_each
from symmcd.structures.units import reduce

RETURNING = ("rutile", "perovskite", "wurtzite", "spinel")


@pytest.fixture(scope="module")
def potential():
    return ChgnetPotential(load_chgnet("cpu"))


def run(crystals, potential, method, *, batch_size=8, **limits):
    found = dict(relax_many(crystals, potential, method, batch_size=batch_size, limits=Limits(**limits)))
    assert sorted(found) == list(range(len(crystals)))
    return [found[index] for index in sorted(found)]


def disturbed(unit, seed=0):
    """The same space group and orbits; free components of k and free coordinates moved by some 2 %."""
    units, random = AsymmetricUnits.from_units([unit]), np.random.default_rng(seed)
    generator = wyckoff_table().generator[units.wyckoff]
    position = units.position + random.normal(0, 0.008, units.position.shape)
    return dataclasses.replace(
        units,
        k=units.k + random.normal(0, 0.02, (1, 6)) * free_coefficients()[unit.space_group - 1],
        position=np.einsum("aij,aj->ai", generator[:, :, :3], position) + generator[:, :, 3],
    )[0]


def test_fire_makes_struct_optimizers_steps(potential):
    """Same number of steps, energies and structure, in a batch with others, as ASE's FIRE and filter one by one."""
    crystals = [displaced(CRYSTALS[name], 0.1) for name in ("rutile", "rock salt", "wurtzite")]
    crystals[1].scale_lattice(crystals[1].volume * 1.3)  # far enough for the cell's second-order terms to show
    shear = np.eye(3) + [[0, 0.1, 0], [0, 0, 0.15], [0, 0, 0]]
    crystals[2] = Structure(crystals[2].lattice.matrix @ shear, crystals[2].species, crystals[2].frac_coords)
    ours = run(crystals, potential, "unconstrained", steps=30)
    theirs = relax_each(crystals, potential, "structure_optimizer", optimise, Limits(steps=30))
    for found, (_, expected) in zip(ours, theirs, strict=True):
        assert (found.status, found.steps, found.energy_calls) == (expected.status, expected.steps, expected.steps + 1)
        assert found.energy_initial == pytest.approx(expected.energy_initial, abs=1e-5)
        assert found.energy_relaxed == pytest.approx(expected.energy_relaxed, abs=1e-4)
        assert found.fmax == pytest.approx(expected.fmax, rel=0.02)
        assert found.structure.lattice.matrix == pytest.approx(expected.structure.lattice.matrix, abs=2e-3)
        assert found.rms_displacement == pytest.approx(expected.rms_displacement, abs=1e-3)


@pytest.fixture(scope="module")
def ideal(potential):
    """Tightly relaxed crystals, with their group kept."""
    return dict(
        zip(RETURNING, run([reduce(CRYSTALS[n]) for n in RETURNING], potential, "symmetry", fmax=0.005), strict=True)
    )


def test_displaced_crystals_return(potential, ideal):
    """Without the group: atoms 0.04 Å off in all directions and the cell 3 % too large."""
    crystals = [displaced(primitive_cell(CRYSTALS[name]), 0.04) for name in RETURNING]
    for crystal in crystals:
        crystal.scale_lattice(crystal.volume * 1.03)
    for name, result in zip(RETURNING, run(crystals, potential, "unconstrained", fmax=0.01), strict=True):
        assert result.status == "converged"
        assert result.space_group_initial < ideal[name].space_group_relaxed
        assert result.space_group_relaxed == ideal[name].space_group_relaxed
        assert result.energy_relaxed == pytest.approx(ideal[name].energy_relaxed, abs=1e-3)


def test_disturbed_crystals_return_in_few_calls(potential, ideal):
    """With the group: free numbers off, back at the same energy and volume, the group kept at a tight tolerance."""
    units = [disturbed(reduce(CRYSTALS[name])) for name in RETURNING]
    for name, result in zip(RETURNING, run(units, potential, "symmetry"), strict=True):
        assert result.status == "converged"
        assert result.energy_relaxed < result.energy_initial
        assert result.energy_relaxed == pytest.approx(ideal[name].energy_relaxed, abs=1e-3)
        assert result.structure.volume == pytest.approx(ideal[name].structure.volume, rel=0.02)
        assert result.structure.get_space_group_info(symprec=1e-4)[1] == reduce(CRYSTALS[name]).space_group
        assert result.energy_calls <= 10


@pytest.mark.parametrize("name", ["rutile", "corundum", "orthorhombic perovskite", "spinel"])
def test_constrained_gradient_is_the_slope_of_the_whole_crystals_energy(potential, name):
    """Energies of every atom's graph, without symmetry, along each free number (all families of k, centred cells)."""
    unit = disturbed(reduce(CRYSTALS[name]), 1)
    relaxation = SymmetricRelaxation(unit, steps=1, fmax=1e-9, noise=potential.noise)
    cell, request = relaxation.cell, relaxation.request()
    point = potential.evaluate([request])[0]
    gradient = relaxation._gradient(*cell.symmetrised(request.lattice, point.forces, point.virial))
    h = 0.001
    points = [
        Request(*cell.geometry(cell.start + sign * h * direction), cell.element)
        for direction in np.eye(len(cell.start))
        for sign in (1, -1)
    ]
    energy = len(cell.element) * np.array([point.energy for point in potential.evaluate(points)])
    up, down = energy.reshape(-1, 2).T
    assert gradient == pytest.approx((up - down) / (2 * h), rel=0.03, abs=0.05)
    assert len(gradient) == free_coefficients()[unit.space_group - 1].sum() + sum(
        wyckoff_table().degrees_of_freedom[unit.wyckoff]
    )


def test_a_relaxed_unit_is_the_relaxed_crystal(potential):
    """Its own energy, of all atoms of its primitive cell without symmetry, is the one that the relaxation ended at."""
    units = [disturbed(reduce(CRYSTALS[name])) for name in RETURNING]
    for given, result in zip(units, run(units, potential, "symmetry"), strict=True):
        assert result.unit.letter == given.letter
        cell = Structure(*_cell(result.unit)).get_primitive_structure()
        [point] = potential.evaluate([Request(cell.lattice.matrix, cell.frac_coords, np.array(cell.atomic_numbers))])
        assert point.energy == pytest.approx(result.energy_relaxed, abs=2e-5)
        assert result.energy_relaxed < result.energy_initial - 1e-3
    [free] = run([displaced(CRYSTALS["rutile"], 0.02)], potential, "unconstrained", steps=2)
    [released] = run(units[:1], potential, "symmetry", release_steps=2)
    assert free.structure is not None
    assert free.unit is released.unit is None


def test_unconstrained_relaxation_agrees_where_nothing_breaks_the_symmetry(potential):
    units = [disturbed(reduce(CRYSTALS[name])) for name in ("rutile", "rock salt", "tungsten")]
    free = [Structure(*_cell(unit)) for unit in units]
    for kept, released in zip(
        run(units, potential, "symmetry", fmax=0.03), run(free, potential, "unconstrained", fmax=0.03), strict=True
    ):
        assert kept.energy_initial == pytest.approx(released.energy_initial, abs=1e-5)
        assert kept.energy_relaxed == pytest.approx(released.energy_relaxed, abs=1e-3)
        assert kept.energy_calls <= released.energy_calls
        assert kept.formula == released.formula
        assert kept.number_of_atoms == released.number_of_atoms


def _cell(unit):
    from symmcd.structures.units import replicate

    structure = replicate(unit)
    return structure.lattice, structure.species, structure.frac_coords


def test_release_leaves_a_saddle(potential):
    """Nitrogen as a bcc metal: no force breaks the symmetry, but pairs lie lower."""
    nitrogen = reduce(Structure(Lattice.cubic(2.6), ["N", "N"], [[0, 0, 0], [0.5, 0.5, 0.5]]))
    two = AsymmetricUnit(221, nitrogen.lattice, np.array([7, 7]), ("a", "b"), np.array([[0, 0, 0], [0.5, 0.5, 0.5]]))
    [kept] = run([two], potential, "symmetry")
    [released] = run([two], potential, "symmetry", release_steps=60)
    assert kept.status == "converged"
    assert kept.energy_symmetric is None
    assert released.energy_symmetric == pytest.approx(kept.energy_relaxed, abs=1e-5)
    assert released.energy_relaxed < kept.energy_relaxed - 0.1
    assert released.space_group_relaxed < kept.space_group_relaxed
    assert released.energy_calls > kept.energy_calls


def test_statuses_end_only_their_own(potential):
    bad = {
        "failed:isolated_atoms": Structure(Lattice.cubic(15), ["Na"], [[0, 0, 0]]),
        "failed:unknown_element:Po": Structure(Lattice.cubic(4), ["Po"], [[0, 0, 0]]),
        "failed:nan_forces": Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0, 0, 0]]),
        "failed:not_finite": Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [np.nan, 0, 0]]),
        "failed:flat_cell": Structure([[4, 0, 0], [4, 0, 0], [0, 0, 4]], ["Na"], [[0, 0, 0]]),
        "failed:too_many_neighbours": Structure(Lattice.cubic(0.6), ["Na"], [[0, 0, 0]]),
        "too_large": CRYSTALS["orthorhombic perovskite"],
    }
    overlapping = Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0.02, 0, 0]])
    crystals = [*bad.values(), overlapping, CRYSTALS["rock salt"]]
    *results, last, good = run(crystals, potential, "unconstrained", steps=5, max_atoms=14, batch_size=3)
    assert [result.status for result in results] == list(bad)
    assert all(result.energy_relaxed is None and result.structure is None for result in results)
    assert last.status in ("overlapping", "exploded")
    assert last.energy_initial is None
    assert last.energy_relaxed is None
    assert good.status == "converged"


def test_symmetric_relaxation_of_bad_units(potential):
    place = np.zeros((1, 3))
    sodium, cell = np.array([11]), np.eye(3)
    on_one_point = AsymmetricUnit(  # generated crystals can have this
        75, cell * 4, np.array([11, 17]), ("a", "a"), np.zeros((2, 3)), apart=False
    )
    bad = {
        "failed:isolated_atoms": AsymmetricUnit(221, cell * 15, sodium, ("a",), place),
        "failed:unknown_element:Po": AsymmetricUnit(221, cell * 4, np.array([84]), ("a",), place),
        "failed:nan_forces": on_one_point,
        "failed:flat_cell": AsymmetricUnit.exact(1, np.diag([4.0, 4, 0]), sodium, ("a",), place),
        "failed:not_finite": AsymmetricUnit.exact(1, cell * np.nan, sodium, ("a",), place),
    }
    *results, good = run([*bad.values(), reduce(CRYSTALS["rock salt"])], potential, "symmetry", batch_size=4)
    assert [result.status for result in results] == list(bad)
    assert good.status == "converged"


def test_limits_of_time_and_steps(potential):
    [slow] = run([displaced(CRYSTALS["rutile"], 0.2)], potential, "unconstrained", seconds=0)
    assert (slow.status, slow.steps) == ("timed_out", 1)
    assert slow.energy_relaxed == slow.energy_initial
    for method, crystal in (("unconstrained", CRYSTALS["rutile"]), ("symmetry", disturbed(reduce(CRYSTALS["rutile"])))):
        [short] = run([crystal], potential, method, steps=2, fmax=1e-6)
        assert (short.status, short.steps, short.energy_calls) == ("step_limit", 2, 3)


def test_unforeseen_failure_is_a_status_of_its_crystal(potential, monkeypatch):
    """A call that dies of one crystal is repeated without it."""
    evaluate = ChgnetPotential.evaluate

    def dies_of_sodium(self, requests):
        if any(11 in request.element for request in requests):
            raise RuntimeError("no\nmemory")
        return evaluate(self, requests)

    monkeypatch.setattr(ChgnetPotential, "evaluate", dies_of_sodium)
    names = ("wurtzite", "rock salt", "rutile", "tungsten")
    results = run([CRYSTALS[name] for name in names], potential, "unconstrained")
    assert [result.status for result in results] == ["converged", "failed:RuntimeError", "converged", "converged"]
    assert results[1].detail == "no memory"


class Clock:
    """Stands in for the module `time`."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        self.now += 1e-6
        return self.now


def test_the_limit_of_time_is_of_the_crystals_share(potential, monkeypatch):
    """Eleven calls of a second each for four crystals at once are 2.75 s a crystal, and 11 s for one alone."""
    clock, evaluate = Clock(), ChgnetPotential.evaluate

    def slow(self, requests):
        clock.now += 1
        return evaluate(self, requests)

    monkeypatch.setattr(ChgnetPotential, "evaluate", slow)
    monkeypatch.setattr("symmcd.stability.batch_relaxation.time", clock)
    monkeypatch.setattr(potential, "batch_cost", 1_000_000)
    limits = {"steps": 10, "fmax": 1e-6, "seconds": 5}
    crystals = [displaced(CRYSTALS["tungsten"], 0.05, n) for n in range(4)]
    results = run(crystals, potential, "unconstrained", **limits)
    assert [result.status for result in results] == ["step_limit"] * 4
    assert [result.seconds for result in results] == pytest.approx([2.75] * 4, abs=0.01)
    [alone] = run(crystals[:1], potential, "unconstrained", **limits)
    assert (alone.status, alone.energy_calls) == ("timed_out", 5)


def test_what_fails_for_all_alike_is_raised(potential, monkeypatch):
    """A device mismatch or a fault of ours: no table full of it, and no exit code 0."""

    def broken(self, requests):
        raise RuntimeError("Expected all tensors to be on the same device")

    monkeypatch.setattr(ChgnetPotential, "evaluate", broken)
    with pytest.raises(RuntimeError, match="same device"):
        run([CRYSTALS["rutile"], CRYSTALS["tungsten"]], potential, "unconstrained")
    [alone] = run([CRYSTALS["rutile"]], potential, "unconstrained")  # it may be the crystal's fault
    assert alone.status == "failed:RuntimeError"


@pytest.mark.parametrize("where", ["primitive_cell", "Relaxing.take", "Relaxing.outcome"])
def test_an_unforeseen_error_anywhere_is_a_status(potential, monkeypatch, capsys, where):
    """Making ready, a step, the outcome: of sodium each fails, its message is printed once, the others go on."""
    module, names = batch_relaxation, where.split(".")
    owner = getattr(module, names[0]) if len(names) == 2 else module
    original = getattr(owner, names[-1])

    def dies_of_sodium(first, *rest):
        formula = first.composition.reduced_formula if isinstance(first, Structure) else first.result.formula
        if "Na" in formula:
            raise np.linalg.LinAlgError("did not\nconverge")
        return original(first, *rest)

    monkeypatch.setattr(owner, names[-1], dies_of_sodium)
    crystals = [CRYSTALS[name] for name in ("rock salt", "rutile", "rock salt")]
    first, good, last = run(crystals, potential, "unconstrained", steps=3)
    assert (first.status, first.detail, first.formula) == ("failed:LinAlgError", "did not converge", "NaCl")
    assert last.status == first.status
    assert first.energy_relaxed is None
    assert good.status == "converged"
    assert capsys.readouterr().err.count("failed:LinAlgError: did not converge") == 1


def test_batches_are_bounded(potential, monkeypatch):
    """No call has more edges and angles than allowed, and waiting crystals enter as others leave."""
    calls = []
    evaluate = ChgnetPotential.evaluate

    def counted(self, requests):
        points = evaluate(self, requests)
        calls.append((len(requests), sum(map(self.cost, requests))))
        return points

    monkeypatch.setattr(ChgnetPotential, "evaluate", counted)
    crystals = [displaced(CRYSTALS["rutile"], 0.05 * n) for n in range(5)]
    monkeypatch.setattr(potential, "batch_cost", 5000)
    run(crystals, potential, "unconstrained", batch_size=3)
    assert max(count for count, _ in calls) > 1
    assert max(count for count, _ in calls) <= 3
    assert all(size <= 5000 or count == 1 for count, size in calls)


@pytest.mark.parametrize(("name", "length", "error"), [("tungsten", 3.165, 0.02), ("caesium", 6.14, 0.04)])
@pytest.mark.parametrize("method", ["unconstrained", "symmetry"])
def test_one_atom_cells_relax(potential, name, length, error, method):
    """One atom and its images, caesium without a single angle, a fifth too large: near the measured lengths."""
    crystal = CRYSTALS[name].copy()
    crystal.scale_lattice(crystal.volume * 1.2)
    [result] = run([reduce(crystal) if method == "symmetry" else crystal], potential, method, fmax=0.005)
    assert (result.status, result.number_of_atoms, result.space_group_relaxed) == ("converged", 1, 229)
    assert (2 * result.structure.volume) ** (1 / 3) == pytest.approx(length, rel=error)
    assert result.energy_relaxed < result.energy_initial


@pytest.mark.parametrize("method", ["unconstrained", "symmetry"])
def test_atoms_nearly_in_one_place_end_without_an_energy(potential, method):
    """0.08 Å apart along a free coordinate: CHGNet gives a number, which means nothing unless relaxation parts them."""
    places = np.array([[0, 0, 0.01], [0, 0, 0.03]])
    unit = AsymmetricUnit(75, np.diag([4.0, 4, 4]), np.array([11, 17]), ("a", "a"), places)
    crystal = unit if method == "symmetry" else Structure(*_cell(unit))
    result, good = run(
        [crystal, disturbed(reduce(CRYSTALS["rock salt"])) if method == "symmetry" else CRYSTALS["rock salt"]],
        potential, method, steps=3,
    )  # fmt: skip
    assert result.status in ("overlapping", "exploded")
    assert result.min_distance_initial == pytest.approx(0.08)
    assert result.energy_initial is None
    assert result.energy_relaxed is None
    assert result.structure is None
    assert good.status == "converged"


@pytest.mark.parametrize("method", ["unconstrained", "symmetry"])
@pytest.mark.parametrize("what", ["energies", "forces"])
def test_nan_in_the_middle_ends_one_and_leaves_the_others(potential, monkeypatch, method, what):
    """The third call gives NaN for sodium: energies, or forces alone; the crystal beside it in the call goes on."""
    names = ("rock salt", "rutile")
    crystals = [disturbed(reduce(CRYSTALS[name].copy().apply_strain(0.06))) for name in names]
    if method == "unconstrained":
        crystals = [Structure(*_cell(unit)) for unit in crystals]
    undisturbed = run(crystals, potential, method, fmax=0.01, steps=60)
    site_energies = Network.site_energies
    calls = []

    def spoilt(self, graph, vectors):
        site = site_energies(self, graph, vectors)
        calls.append(len(site))
        if len(calls) < 3:
            return site
        sodium = graph.element == 11
        if what == "energies" or not sodium.any():
            return torch.where(sodium, np.nan, site)
        bond = vectors[graph.edge_bond[sodium[graph.edge_centre]][0], 0]
        return site + torch.sqrt(0 * bond.abs()) * sodium  # the root of 0 has a value and no slope

    monkeypatch.setattr(Network, "site_energies", spoilt)
    broken, good = run(crystals, potential, method, fmax=0.01, steps=60)
    assert (broken.status, broken.energy_calls) == ("failed:nan_forces", 2)
    assert broken.energy_initial == pytest.approx(undisturbed[0].energy_initial, abs=1e-5)
    assert broken.energy_relaxed is None
    assert broken.structure is None
    assert (good.status, good.steps) == ("converged", undisturbed[1].steps)
    assert good.energy_relaxed == pytest.approx(undisturbed[1].energy_relaxed, abs=1e-4)


def test_a_cell_that_runs_away_is_stopped(potential, monkeypatch):
    """A stress that tears cells apart: `exploded` when one is out of bounds, not after all steps."""
    evaluate = ChgnetPotential.evaluate

    def torn(self, requests):
        return [dataclasses.replace(point, virial=-np.eye(3) * 500) for point in evaluate(self, requests)]

    monkeypatch.setattr(ChgnetPotential, "evaluate", torn)
    monkeypatch.setattr("symmcd.stability.outcome.VOLUME_PER_ATOM", (1.0, 20.0))
    [result] = run([CRYSTALS["rutile"]], potential, "unconstrained", steps=200)
    assert result.status == "exploded"
    assert result.steps < 200
    assert result.energy_relaxed is None
