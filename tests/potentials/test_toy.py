"""A potential of one method relaxes crystals by every method, and gives a hull its energies."""

import csv
import dataclasses

import numpy as np
import pytest
from tests.potentials.toy import ENTRY, Morse
from tests.stability.prototypes import CRYSTALS

from symmcd.config import check_together, read_config
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.errors import InputError
from symmcd.extensions import POTENTIALS
from symmcd.potentials.potential import WrongAnswerError
from symmcd.settings import HullSettings, RelaxSettings
from symmcd.stability.batch_relaxation import relax_many
from symmcd.stability.energies import energies
from symmcd.stability.hull import HullEntry
from symmcd.stability.hull_entries import write_entries
from symmcd.stability.outcome import Limits
from symmcd.stages import hull, reference, relax
from symmcd.storage import write_units
from symmcd.structures.units import reduce

NAMES = ("tungsten", "rock salt", "perovskite")


def run(crystals, method, potential=None, **limits):
    found = dict(relax_many(crystals, potential or Morse(), method, limits=Limits(**limits)))
    return [found[index] for index in range(len(crystals))]


def test_both_methods_end_in_the_same_minimum():
    """Without a word about symmetry in the potential: forces of the whole cell are projected by the relaxation."""
    units = [reduce(CRYSTALS[name].copy().apply_strain(0.03)) for name in NAMES]
    kept = run(units, "symmetry", fmax=1e-4)
    free = run([CRYSTALS[name].copy().apply_strain(0.03) for name in NAMES], "unconstrained", fmax=1e-4)
    for unit, one, other in zip(units, kept, free, strict=True):
        assert (one.status, other.status) == ("converged", "converged")
        assert one.energy_relaxed == pytest.approx(other.energy_relaxed, abs=1e-6)
        assert one.energy_relaxed < one.energy_initial
        assert one.space_group_relaxed == unit.space_group
        assert one.energy_calls < other.energy_calls


def test_its_cost_bounds_a_call():
    """The default cost counts atoms."""
    calls = []

    class Counted(Morse):
        batch_cost = 9

        def evaluate(self, requests, *, forces=True):
            calls.append([len(request.element) for request in requests])
            return super().evaluate(requests, forces=forces)

    run([CRYSTALS["perovskite"]] * 3, "unconstrained", Counted(), steps=1)
    assert calls == [[5], [5], [5]] * 2


def spoilt(change):
    """The toy with its answers to every crystal of more than two atoms changed."""

    class Spoilt(Morse):
        def evaluate(self, requests, *, forces=True):
            answers = super().evaluate(requests, forces=forces)
            return [change(a) if len(r.element) > 2 else a for r, a in zip(requests, answers, strict=True)]

    return Spoilt()


def with_nan(values):
    spoilt = np.array(values, float)
    spoilt.flat[0] = np.nan
    return spoilt


@pytest.mark.parametrize("method", ["unconstrained", "symmetry"])
@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda a: dataclasses.replace(a, energy=np.nan), "failed:nan_energy"),
        (lambda a: dataclasses.replace(a, forces=with_nan(a.forces)), "failed:nan_forces"),
        (lambda a: dataclasses.replace(a, virial=with_nan(a.virial)), "failed:nan_forces"),
        (lambda a: dataclasses.replace(a, forces=np.zeros((len(a.forces) + 1, 3))), "failed:WrongAnswerError"),
        (lambda a: dataclasses.replace(a, virial=np.zeros(6)), "failed:WrongAnswerError"),
        (lambda a: dataclasses.replace(a, energy=np.array([a.energy])), "failed:WrongAnswerError"),
        (lambda _: None, "failed:WrongAnswerError"),
    ],
)
def test_what_is_no_answer_becomes_no_energy_and_no_crystal(method, change, status):
    """A force that is undefined moves atoms to nowhere, and one atom's force too many is found in no sum."""
    units = [reduce(CRYSTALS[name].copy().apply_strain(0.03)) for name in NAMES]
    crystals = units if method == "symmetry" else [CRYSTALS[name].copy().apply_strain(0.03) for name in NAMES]
    good, _, bad = run(crystals, method, spoilt(change), fmax=1e-3)
    assert (good.status, bad.status) == ("converged", status)
    assert bad.energy_relaxed is None
    assert bad.structure is None


def test_a_defect_that_meets_every_crystal_ends_the_run_and_names_the_potential():
    crystals = [CRYSTALS["perovskite"]] * 2
    with pytest.raises(WrongAnswerError, match=r"potential tests\.potentials\.test_toy\..*Spoilt .*a shape other"):
        run(crystals, "unconstrained", spoilt(lambda a: dataclasses.replace(a, virial=np.zeros(6))))
    with pytest.raises(WrongAnswerError, match="NoneType"):
        energies([reduce(crystal) for crystal in crystals], spoilt(lambda _: None))

    (failed,) = energies([reduce(crystals[0])], spoilt(lambda _: None))
    assert (failed.status, failed.value) == ("failed:WrongAnswerError", None), "one crystal ends nothing"

    class Short(Morse):
        def evaluate(self, requests, *, forces=True):
            return super().evaluate(requests, forces=forces)[1:]

    with pytest.raises(WrongAnswerError, match="0 answers to 1 requests"):
        run(crystals, "unconstrained", Short())


def test_energies_may_be_numbers_of_numpy():
    """They go into journals as JSON, which knows no float32."""
    single = spoilt(lambda a: dataclasses.replace(a, energy=np.float32(a.energy)))
    (relaxed,) = run([CRYSTALS["perovskite"]], "unconstrained", single, steps=1)
    (energy,) = energies([reduce(CRYSTALS["perovskite"])], single)
    assert type(relaxed.energy_relaxed) is type(energy.value) is float


def test_a_hull_has_no_undefined_energies():
    (energy,) = energies([reduce(CRYSTALS["perovskite"])], spoilt(lambda a: dataclasses.replace(a, energy=np.nan)))
    assert (energy.status, energy.value) == ("failed:nan_energy", None)


@pytest.fixture
def morse():
    """The toy under a name of its own in this process."""
    POTENTIALS.add("morse", ENTRY)
    yield "morse"
    POTENTIALS.remove("morse")


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_stages_take_it_by_its_name(tmp_path, morse):
    """Reference energies, relaxation and hull of one potential; a table says which if it is not CHGNet."""
    units = AsymmetricUnits.from_units([reduce(CRYSTALS[name]) for name in NAMES], list(NAMES))
    write_units(tmp_path / "units.npz", units)
    elements = AsymmetricUnits.from_units([reduce(CRYSTALS[name]) for name in ("tungsten", "caesium")], ["W", "Cs"])
    write_units(tmp_path / "train.npz", elements)
    settings = RelaxSettings(potential=morse, method="symmetry")
    files = tmp_path / "relaxed.csv", tmp_path / "relaxed.extxyz"
    relax.run(tmp_path / "units.npz", *files, 0, 1, settings, 0, "cpu")
    found = rows(files[0])
    assert [row["status"] for row in found] == ["converged"] * 3
    assert {row["potential"] for row in found} == {"morse"}
    reference.run([tmp_path / "train.npz"], tmp_path / "r.csv", HullSettings(source=morse), "cpu")
    assert {row["hull"] for row in rows(tmp_path / "r.csv")} == {"morse"}
    assert len(rows(tmp_path / "r.csv")) == 2, "it has no table of elemental energies"
    hull.run([files[0]], [tmp_path / "r.csv"], tmp_path / "hull.csv")
    by_id = {row["formula"]: row for row in rows(tmp_path / "hull.csv")}
    assert float(by_id["W"]["e_above_hull_relaxed"]) <= 0
    assert by_id["NaCl"]["status"] == "no_reference:Cl+Na"


@pytest.mark.parametrize(
    ("name", "words"), [("matbench-discovery", "MP2020"), ("table mp.csv", "MP2020"), ("chgnet", "")]
)
def test_a_hull_of_another_scale_is_refused(tmp_path, morse, name, words):
    (tmp_path / "relaxed.csv").write_text(
        f"id,status,formula,energy_initial,energy_relaxed,potential\n0,converged,W,-1.0,-1.1,{morse}\n"
    )
    write_entries(tmp_path / "r.csv", name, [HullEntry("W", -1.2, "energy", "by hand")])
    with pytest.raises(InputError, match=rf"relax\.potential = morse.*{words}.*choose hull\.source = morse"):
        hull.run([tmp_path / "relaxed.csv"], [tmp_path / "r.csv"], tmp_path / "hull.csv")
    source = name.partition(" ")[0]
    with pytest.raises(InputError, match=rf"hull\.source = {source}"):
        check_together(read_config({"relax": {"potential": morse}, "hull": {"source": source}}))
    check_together(read_config({"relax": {"potential": morse}, "hull": {"source": morse}}))


def test_methods_are_those_of_the_potential(morse):
    assert RelaxSettings(method="structure_optimizer").potential == "chgnet"
    with pytest.raises(
        InputError, match=r"relax\.method = 'structure_optimizer': choose one of 'unconstrained', 'symm"
    ):
        RelaxSettings(potential=morse, method="structure_optimizer")


def test_a_potential_may_bring_an_optimiser(tmp_path, morse):
    """A downhill walk of its own, one function and one word in the entry."""

    def downhill(potential, start, steps, fmax, watcher):
        request = start
        for _ in range(steps + 1):
            watcher.before(request)
            (point,) = potential.evaluate([request])
            watcher.after(request, point)
            largest = float(np.linalg.norm(point.forces, axis=1).max())
            if largest < fmax:
                break
            moved = request.position + 0.02 * point.forces @ np.linalg.inv(request.lattice)
            request = dataclasses.replace(request, position=moved)
        return largest

    POTENTIALS.add("walker", dataclasses.replace(ENTRY, optimisers={"downhill": downhill}))
    try:
        write_units(tmp_path / "units.npz", AsymmetricUnits.from_units([reduce(CRYSTALS["rutile"])], ["a"]))
        settings = RelaxSettings(potential="walker", method="downhill", fmax=0.05)
        files = tmp_path / "relaxed.csv", tmp_path / "relaxed.extxyz"
        relax.run(tmp_path / "units.npz", *files, 0, 1, settings, 0, "cpu")
    finally:
        POTENTIALS.remove("walker")
    (row,) = rows(files[0])
    assert (row["status"], row["method"]) == ("converged", "downhill")
    assert float(row["energy_relaxed"]) < float(row["energy_initial"])
    assert float(row["volume_change"]) == 0
