"""Corrections (MP2020) are pymatgen's, of entries as the Materials Project has them, and reach every hull."""

import csv
import dataclasses

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.entries.compatibility import MaterialsProject2020Compatibility
from pymatgen.entries.computed_entries import ComputedStructureEntry
from pymatgen.io.vasp.sets import MPRelaxSet
from tests.potentials.toy import ENTRY
from tests.stability.prototypes import CRYSTALS

from symmcd.config import check_together, read_config
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.errors import InputError
from symmcd.extensions import POTENTIALS
from symmcd.settings import HullSettings, RelaxSettings
from symmcd.stability import corrections
from symmcd.stability.corrections import corrected, correction, hubbard_values
from symmcd.stability.hull import HullEntry
from symmcd.stability.hull_entries import write_entries
from symmcd.stages import hull, reference, relax
from symmcd.storage import write_units
from symmcd.structures.units import reduce


def rock_salt(cation, anion, a):
    return Structure.from_spacegroup(225, Lattice.cubic(a), [cation, anion], [[0, 0, 0], [0.5, 0.5, 0.5]])


PYRITE = Structure.from_spacegroup(205, Lattice.cubic(5.42), ["Fe", "S"], [[0, 0, 0], [0.385, 0.385, 0.385]])
PEROXIDE = Structure.from_spacegroup(139, Lattice.tetragonal(3.81, 6.85), ["Ba", "O"], [[0, 0, 0], [0, 0, 0.392]])
SUPEROXIDE = Structure.from_spacegroup(139, Lattice.tetragonal(4.03, 6.70), ["K", "O"], [[0, 0, 0], [0, 0, 0.405]])
# eV per atom of its kind, from Table 2 and the mixing corrections of Wang et al. 2021
BY_HAND = {
    "chloride": (rock_salt("Na", "Cl", 5.64), -0.614 / 2),
    "oxide": (rock_salt("Mg", "O", 4.21), -0.687 / 2),
    "oxide with U": (rock_salt("Fe", "O", 4.33), (-0.687 - 2.256) / 2),
    "fluoride with U": (rock_salt("Ni", "F", 4.3), (-0.462 - 2.541) / 2),
    "sulphide": (rock_salt("Ca", "S", 5.69), -0.503 / 2),
    "sulphide of iron, without U": (PYRITE, -0.503 * 2 / 3),
    "peroxide": (PEROXIDE, -0.465 * 2 / 3),
    "superoxide": (SUPEROXIDE, -0.161 * 2 / 3),
    "alloy": (rock_salt("Cu", "Au", 5.4), 0.0),
    "element": (CRYSTALS["tungsten"], 0.0),
}


@pytest.mark.filterwarnings("ignore:Failed to guess oxidation states", "ignore:Relaxation of likely metal")
@pytest.mark.parametrize("kind", BY_HAND)
def test_corrections_are_those_of_the_paper_and_of_pymatgen(kind):
    """pymatgen's of an entry with the pseudopotentials and the U that its input set writes, which it checks."""
    crystal, expected = BY_HAND[kind]
    assert correction(crystal) == pytest.approx(expected, abs=1e-6)
    inputs = MPRelaxSet(crystal.get_sorted_structure())
    symbols = [f"PBE {symbol}" for symbol in inputs.potcar_symbols]
    incar = inputs.incar
    hubbards = dict(zip([s.split("_")[0] for s in inputs.potcar_symbols], incar.get("LDAUU", []), strict=False))
    hubbards = {symbol: value for symbol, value in hubbards.items() if value} if incar.get("LDAU") else {}
    assert hubbard_values(crystal.composition) == hubbards
    parameters = {"potcar_symbols": symbols, "hubbards": hubbards, "run_type": "GGA+U" if hubbards else "GGA"}
    entry = ComputedStructureEntry(crystal, -1.0, parameters=parameters)
    assert MaterialsProject2020Compatibility().process_entry(entry) is not None
    assert correction(crystal) == pytest.approx(entry.correction_per_atom, abs=1e-9)


def test_a_supercell_has_the_correction_of_its_cell():
    for crystal, expected in BY_HAND.values():
        assert correction(crystal.make_supercell([2, 1, 1], in_place=False)) == pytest.approx(expected, abs=1e-6)


def test_an_energy_without_a_correction_is_left_blank():
    row = {"status": "converged", "energy_initial": "-1", "energy_relaxed": "-2", "correction_initial": "-0.5"}
    assert corrected(row | {"correction_relaxed": "-0.25"}) == row | {
        "energy_initial": "-1.500000", "energy_relaxed": "-2.250000", "correction_relaxed": "-0.25"
    }  # fmt: skip
    lost = corrected(row | {"correction_relaxed": ""})
    assert (lost["energy_relaxed"], lost["status"]) == ("", "no_correction")


@pytest.fixture
def correctable():
    """The toy as a potential that gives PBE energies."""
    POTENTIALS.add("pbe", dataclasses.replace(ENTRY, correctable=True))
    yield "pbe"
    POTENTIALS.remove("pbe")


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def relaxed(tmp_path, correctable):
    units = AsymmetricUnits.from_units([reduce(CRYSTALS[name]) for name in ("tungsten", "rock salt")], ["a", "b"])
    write_units(tmp_path / "units.npz", units)
    settings = RelaxSettings(potential=correctable, method="symmetry")
    relax.run(tmp_path / "units.npz", tmp_path / "relaxed.csv", tmp_path / "x.extxyz", 0, 1, settings, 0, "cpu")
    return tmp_path / "relaxed.csv"


def test_every_hull_has_corrected_energies(tmp_path, relaxed, correctable):
    """Over a table, whose formation energies are corrected, and over the potential's own, the same distances."""
    before = {row["formula"]: row for row in rows(relaxed)}
    assert {row["correction_relaxed"] for row in before.values()} == {"0.000000", "-0.307000"}
    own = tmp_path / "own.csv"
    reference.run([tmp_path / "units.npz"], own, HullSettings(source=correctable), "cpu")
    salt = float(before["NaCl"]["energy_initial"])
    assert {row["formula"]: float(row["energy_per_atom"]) for row in rows(own)}["NaCl"] == pytest.approx(
        salt - 0.307, abs=1e-6
    )
    elements = [HullEntry(symbol, 0.0, "elemental_reference", "by hand") for symbol in ("Na", "Cl", "W")]
    formation = HullEntry("NaCl", salt - 0.4, "formation_energy", "by hand")
    write_entries(tmp_path / "table.csv", "table mp.csv", [*elements, formation])
    check_together(read_config({"relax": {"potential": correctable}, "hull": {"source": "table"}}))
    hull.run([relaxed], [tmp_path / "table.csv"], tmp_path / "hull.csv")
    found = {row["formula"]: row for row in rows(tmp_path / "hull.csv")}["NaCl"]
    assert float(found["e_above_hull_initial"]) == pytest.approx(0.4 - 0.307, abs=2e-6)
    assert float(found["energy_initial"]) == pytest.approx(salt - 0.307, abs=2e-6)


def test_tables_without_corrections_are_refused(tmp_path, relaxed):
    lines = [line.rsplit(",", 2)[0] for line in relaxed.read_text().splitlines()]
    relaxed.write_text("\n".join(lines) + "\n")
    write_entries(tmp_path / "r.csv", "table mp.csv", [HullEntry("W", 0.0, "elemental_reference", "by hand")])
    with pytest.raises(InputError, match="lacks the column correction_initial, correction_relaxed; run `symmcd relax`"):
        hull.run([relaxed], [tmp_path / "r.csv"], tmp_path / "hull.csv")


def test_a_crystal_without_a_correction_has_a_status(tmp_path, correctable, monkeypatch):
    """pymatgen's scheme that takes none: the others keep their energies."""
    real = corrections.correction
    monkeypatch.setattr(corrections, "correction", lambda c: None if len(c.composition) > 1 else real(c))
    units = AsymmetricUnits.from_units([reduce(CRYSTALS[name]) for name in ("tungsten", "rock salt")], ["a", "b"])
    write_units(tmp_path / "units.npz", units)
    settings = RelaxSettings(potential=correctable, method="symmetry")
    relax.run(tmp_path / "units.npz", tmp_path / "relaxed.csv", tmp_path / "x.extxyz", 0, 1, settings, 0, "cpu")
    entries = [HullEntry(symbol, 0.0, "energy", "by hand") for symbol in ("Na", "Cl", "W")]
    write_entries(tmp_path / "r.csv", "matbench-discovery", entries)
    hull.run([tmp_path / "relaxed.csv"], [tmp_path / "r.csv"], tmp_path / "hull.csv")
    found = {row["formula"]: row for row in rows(tmp_path / "hull.csv")}
    assert found["NaCl"]["status"] == "no_correction"
    assert found["NaCl"]["e_above_hull_relaxed"] == ""
    assert found["W"]["status"] == "converged"
    assert np.isfinite(float(found["W"]["e_above_hull_relaxed"]))
