"""The table of MP-20's materials and its hulls: whole, told apart by split, and as pymatgen has them."""

from __future__ import annotations

import re
from collections import Counter
from importlib import resources

import pytest
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition, Lattice, Structure

from symmcd.crystallography import content
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.errors import InputError
from symmcd.stability_model.materials import (
    SPLITS,
    arrangements,
    arrangements_of,
    fingerprint,
    hull,
    hull_entries,
    materials,
)
from symmcd.storage import write_units
from symmcd.structures.units import reduce


def test_all_of_mp20():
    known = materials()
    assert Counter(material.split for material in known) == {"train": 27_136, "val": 9_047, "test": 9_046}
    assert len({material.id for material in known}) == len(known)
    assert sum(material.space_group is None for material in known) < 0.02 * len(known)
    assert {material.space_group for material in known} <= {None, *range(1, 231)}
    assert all(-6 < material.formation_energy_per_atom < 6 for material in known)
    (rock_salt,) = (m for m in known if m.formula == "NaCl" and m.space_group == 225)
    assert rock_salt.formation_energy_per_atom == pytest.approx(-2.11, abs=0.03)  # Materials Project, mp-22862
    assert (resources.files("symmcd.stability_model") / "mp20.csv.gz").stat().st_size < 1e6


def test_arrangements_are_those_of_the_data(tmp_path):
    """Known ones, from their crystals; nearly every material has one, and few share one."""
    fcc = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.69), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    unit = reduce(fcc)
    (name,) = content.arrangements(AsymmetricUnits.from_units([unit]))
    rock_salt = [m for m in materials() if m.formula == "NaCl" and m.space_group == 225]
    assert {m.arrangement for m in rock_salt} == {fingerprint(name)}
    assert fingerprint(name) in arrangements(tuple({m.split for m in rock_salt}))
    assert fingerprint(name + "_") not in arrangements(SPLITS)
    assert sum(not material.arrangement for material in materials()) < 0.02 * 45_229
    assert len(arrangements(SPLITS)) > 0.9 * 45_229
    assert arrangements(()) == frozenset()
    write_units(tmp_path / "mine.npz", AsymmetricUnits.from_units([unit]))
    assert arrangements_of([tmp_path / "mine.npz"]) == {fingerprint(name)}
    assert arrangements_of(["val", str(tmp_path / "mine.npz")]) == arrangements(("val",)) | {fingerprint(name)}
    with pytest.raises(InputError, match=r"neither one of train, val, test nor a units.npz file"):
        arrangements_of(["valid"])


def test_a_hull_of_training_materials_knows_no_others():
    of_split = {material.id: material.split for material in materials()}
    for splits in (("train",), ("train", "val"), SPLITS):
        entries = hull_entries(splits)
        assert {of_split[entry.id] for entry in entries if entry.id} == set(splits)
        elements = [entry.formula for entry in entries if not entry.id]
        assert len(elements) == 89
    for wrong in ((), ("training",)):
        with pytest.raises(InputError, match="expected some of train, val, test"):
            hull_entries(wrong)


def test_a_material_that_is_left_out_may_lie_below_the_hull():
    without, whole = hull(), hull(SPLITS)
    below = 0
    stable = [m for m in materials() if m.split == "test" and len(re.findall("[A-Z]", m.formula)) == 3][:150]
    for material in stable:
        energy = material.formation_energy_per_atom
        known, all_known = (h.at(material.formula).formation_energy_per_atom for h in (without, whole))
        assert all_known <= min(known, energy) + 1e-9
        below += energy < known - 1e-9
    assert below > 20


@pytest.mark.parametrize("system", [{"Li", "Fe", "O"}, {"Al", "Ni", "Ti"}])
def test_agrees_with_pymatgen(system):
    inside = [m for m in materials() if set(re.findall("[A-Z][a-z]?", m.formula)) <= system]
    entries = [PDEntry(Composition(element), 0.0) for element in system]
    for material in inside:
        composition = Composition(material.formula)
        entries.append(PDEntry(composition, material.formation_energy_per_atom * composition.num_atoms))
    theirs = PhaseDiagram([e for e in entries if len(e.composition) > 1 or e.energy == 0])
    for material in inside:
        expected = theirs.get_hull_energy_per_atom(Composition(material.formula))
        assert hull(SPLITS).at(material.formula).formation_energy_per_atom == pytest.approx(expected, abs=1e-6)
