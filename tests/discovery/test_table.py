"""The ranked table: energies against pymatgen's phase diagram, verdicts, names of known materials, duplicates."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.discovery.hulls import hulls_of
from symmcd.discovery.judgements import Hulls
from symmcd.discovery.known import KnownMaterials, elemental_references, elements_of, shipped_entries
from symmcd.discovery.table import found_again, ranked
from symmcd.discovery.unit_json import as_json, from_json
from symmcd.discovery.words import VERDICTS
from symmcd.screens.filters import read_filters
from symmcd.structures.units import reduce
from tests.crystallography.prototypes import PROTOTYPES, prototype
from tests.discovery.crystals import crystal

REFERENCE = {entry.formula: entry.energy_per_atom for entry in elemental_references()}


def total(formula: str, formation: float) -> float:
    """Energy of a crystal, eV/atom, whose formation energy is known."""
    composition = Composition(formula).fractional_composition
    return formation + sum(REFERENCE[str(element)] * share for element, share in composition.items())


@pytest.fixture(scope="module")
def known() -> KnownMaterials:
    return KnownMaterials.of()


def hulls(judges=("chgnet",), elements=("Na", "Cl", "Ti", "O")) -> Hulls:
    of = hulls_of(judges, None)
    return Hulls({j: n.hull(elements) for j, n in of.items()}, {j: n.name for j, n in of.items()})


@pytest.mark.parametrize("system", ["Na-Cl", "Ti-O", "Li-Fe-O"])
def test_the_hull_that_comes_along_is_that_of_pymatgen(system):
    elements = set(system.split("-"))
    entries = [PDEntry(Composition(symbol), REFERENCE[symbol]) for symbol in elements]
    entries += [
        PDEntry(Composition(e.formula), total(e.formula, e.energy_per_atom) * Composition(e.formula).num_atoms)
        for e in shipped_entries()
        if e.kind == "formation_energy" and elements_of(e.formula) <= elements
    ]
    diagram = PhaseDiagram(entries)
    hull = hulls_of(["chgnet"], None)["chgnet"].hull(elements)
    for entry in entries:
        ours = hull.at(entry.composition.reduced_formula).energy_per_atom
        theirs = diagram.get_hull_energy_per_atom(entry.composition)
        assert ours == pytest.approx(theirs, abs=1e-6)


def test_every_crystal_has_one_row_and_verdicts_come_in_their_order(known):
    given = [
        crystal("00000", "NaCl", {"chgnet": total("NaCl", -2.1)}),
        crystal("00001", "CsCl", {"chgnet": total("CsCl", -2.1)}, composition="invalid"),
        crystal("00002", "NaCl", {"chgnet": None}),
        {"id": "00003", "draft": 9, "formula": "NaCl", "space_group": 225},
        crystal("00004", "NaCl", {}, valid="too_close", relaxation=None, relaxed=None, found=None),
        crystal("00005", "TiO2 rutile", {"chgnet": total("TiO2", -2.9)}),
    ]
    rows = ranked(given, {}, hulls(elements=("Na", "Cs", "Cl", "Ti", "O")), known, 0.1)
    assert sorted(row["id"] for row in rows) == [each["id"] for each in given]
    places = [list(VERDICTS).index(row["verdict"]) for row in rows]
    assert places == sorted(places)
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    verdict = {row["id"]: row["verdict"] for row in rows}
    assert [verdict[f"{i:05d}"] for i in (1, 2, 3, 4)] == ["invalid", "failed", "not_reached", "invalid"]


def test_rock_salt_is_known_by_its_name_only_where_its_energy_fits(known):
    of_nacl = next(m for m in known.small if m.formula == "NaCl" and m.space_group == 225)
    fits, differs = of_nacl.formation_energy_per_atom + 0.03, of_nacl.formation_energy_per_atom + 0.3
    given = [crystal(f"{i:05d}", "NaCl", {"chgnet": total("NaCl", e)}) for i, e in enumerate((fits, differs))]
    rows = ranked(given, {}, hulls(), known, 0.5)
    by_id = {row["id"]: row for row in rows}
    assert of_nacl.id in by_id["00000"]["known"].split(";")
    assert by_id["00000"]["verdict"] == "known"
    assert by_id["00001"]["known"] == ""
    assert of_nacl.id in by_id["00001"]["same_arrangement"].split(";")
    again = found_again(rows, known, frozenset({"Na", "Cl"}))
    assert again[of_nacl.split][0] >= 1
    assert of_nacl.id not in again["missed"]


def test_a_crystal_of_a_user_is_known_by_its_geometry():
    unit = reduce(prototype("FeS2"))
    other = unit.position.copy()
    other[unit.element == 16] = 0.25
    moved = AsymmetricUnit(unit.space_group, unit.lattice, unit.element, unit.letter, other)
    mine = KnownMaterials.of([("mine", AsymmetricUnits.from_units([unit], ["my-1"]))])
    given = [crystal("00000", unit, {"chgnet": -6.0}), crystal("00001", moved, {"chgnet": -5.0})]
    names = {row["id"]: row["known"].split(";") for row in ranked(given, {}, hulls(elements=("Fe", "S")), mine, 0.1)}
    assert "my-1" in names["00000"]
    assert "my-1" not in names["00001"]


def test_energies_are_differences_from_the_hull_and_the_worst_judge_counts(known):
    energies = {"chgnet": total("NaCl", -2.0), "sevennet-0": total("NaCl", -1.9)}
    (row,) = ranked([crystal("00000", "NaCl", energies)], {}, hulls(("chgnet", "sevennet-0")), known, 0.1)
    assert row["e_above_hull_sevennet-0"] - row["e_above_hull_chgnet"] == pytest.approx(0.1)
    assert row["e_above_hull"] == row["e_above_hull_sevennet-0"]
    assert row["judges_spread"] == pytest.approx(0.1)
    assert "judges_disagree" in row["doubts"].split(";")


def test_a_judge_without_an_energy_is_a_doubt_and_not_a_zero(known):
    energies = {"chgnet": total("NaCl", -2.0), "sevennet-0": None}
    (row,) = ranked([crystal("00000", "NaCl", energies)], {}, hulls(("chgnet", "sevennet-0")), known, 0.1)
    assert row["e_above_hull_sevennet-0"] is None
    assert row["judges_spread"] is None
    assert "judges_disagree" in row["doubts"].split(";")


def test_a_volume_that_has_grown_by_half_and_more_is_a_doubt(known):
    energies = {"chgnet": total("NaCl", -1.5)}
    given = [crystal("00000", "NaCl", energies), crystal("00001", "CsCl", {"chgnet": total("CsCl", -1.5)})]
    given[0]["relaxation"]["volume_change"], given[1]["relaxation"]["volume_change"] = 0.49, 0.51
    rows = ranked(given, {}, hulls(elements=("Na", "Cs", "Cl")), known, 1.0)
    doubts = {row["id"]: row["doubts"].split(";") for row in rows}
    assert "volume_changed" not in doubts["00000"]
    assert "volume_changed" in doubts["00001"]


def test_filters_take_candidates_out_and_leave_the_others_as_they_are(known):
    layers, frame = {"dimensionality": 2, "scarce": ""}, {"dimensionality": 3, "scarce": ""}
    low, high = {"chgnet": total("TiO2", -5.0)}, {"chgnet": total("TiO2", -2.0)}
    given = [
        crystal("00000", "TiO2 rutile", low, screens=frame),
        crystal("00001", "TiO2 anatase", {"chgnet": total("TiO2", -4.9)}, screens=layers),
        crystal("00002", "TiO2 anatase", high, screens=frame),
        crystal("00003", "TiO2 rutile", {"chgnet": None}, screens=frame),
        {"id": "00004", "draft": 9, "formula": "NaCl", "space_group": 225},
    ]
    keep = read_filters(["dimensionality=2", "scarce=no"], ["dimensionality", "scarce"])
    before = {row["id"]: row["verdict"] for row in ranked(given, {}, hulls(), known, 0.1)}
    rows = ranked(given, {}, hulls(), known, 0.1, keep)
    after = {row["id"]: row["verdict"] for row in rows}
    assert before["00000"] in ("candidate", "doubtful")
    assert before == after | {"00000": before["00000"]}
    assert after["00000"] == "screened_out"
    words = {row["id"]: row["screened_out"] for row in rows}
    assert words == dict.fromkeys(("00001", "00003", "00004"), "") | dict.fromkeys(
        ("00000", "00002"), "dimensionality=2: 3"
    )
    assert [row["id"] for row in rows][:2] == ["00001", "00000"]
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
def test_of_equal_crystals_the_lowest_is_kept_whatever_their_order(known, order):
    energies = [total("TiO2", e) for e in (-3.2, -3.205, -3.1)]
    names = ["TiO2 rutile", "TiO2 rutile", "TiO2 anatase"]
    given = [crystal(f"{i:05d}", names[i], {"chgnet": energies[i]}) for i in order]
    rows = {row["id"]: row for row in ranked(given, {}, hulls(), known, 0.1)}
    assert rows["00000"]["duplicate_of"] == "00001"
    assert rows["00001"]["duplicate_of"] == rows["00002"]["duplicate_of"] == ""


@pytest.mark.parametrize("name", [name for name in PROTOTYPES if len(PROTOTYPES[name][2]) <= 3])
def test_units_come_back_from_json_to_the_last_bit(name):
    unit = reduce(prototype(name))
    back = from_json(json.loads(json.dumps(as_json(unit))))
    assert (back.space_group, back.letter) == (unit.space_group, unit.letter)
    for array in ("lattice", "element", "position"):
        assert np.array_equal(getattr(back, array), getattr(unit, array))
