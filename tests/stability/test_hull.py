"""The hull against examples by hand, against pymatgen's phase diagram, and against known Materials Project values."""

import csv
import gzip
import json
import os
import random
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition, Lattice, Structure
from pymatgen.entries.computed_entries import ComputedEntry, ComputedStructureEntry

from symmcd.errors import InputError
from symmcd.stability import hull_entries
from symmcd.stability.hull import ConvexHull, HullEntry, MissingReferenceError

HULL = os.environ.get("SYMMCD_HULL", "")
NO_HULL = "SYMMCD_HULL is not set: no table of Materials Project formation energies here"


def above(hull, formula, energy):
    """eV/atom, negative below the hull."""
    return energy - hull.at(formula).energy_per_atom


def entry(formula, energy, kind="energy"):
    return HullEntry(formula, energy, kind, "test")


def test_binary_by_hand():
    """A at -1, B at -2, AB 0.5 below their mean: A3B lies on the line from A to AB."""
    hull = ConvexHull([entry("Na", -1.0), entry("Cl", -2.0), entry("NaCl", -2.0), entry("NaCl3", -1.0)])
    assert hull.at("NaCl").energy_per_atom == pytest.approx(-2.0)
    assert hull.at("Na3Cl").energy_per_atom == pytest.approx((-1.0 - 2.0) / 2)
    assert hull.at("Na3Cl").decomposition == "0.500 NaCl + 0.500 Na"
    assert above(hull, "NaCl3", -1.0) == pytest.approx(1.0)  # it is no vertex: half NaCl, half Cl lie at -2
    assert above(hull, "NaCl", -2.3) == pytest.approx(-0.3), "a crystal is not compared with itself"


def test_ternary_by_hand():
    """LiTiO2-like point inside a triangle of two compounds and an element."""
    hull = ConvexHull([entry("Li", 0.0), entry("Ti", 0.0), entry("O", 0.0), entry("Li2O", -2.0), entry("TiO2", -3.0)])
    # Li2TiO3 = Li2O + TiO2: half the atoms each
    assert hull.at("Li2TiO3").energy_per_atom == pytest.approx(-2.5)
    # LiTiO2 (4 atoms) = 1/2 Li2O (1.5 atoms) + 3/4 TiO2 (2.25 atoms) + 1/4 Ti (0.25 atoms)
    assert hull.at("LiTiO2").energy_per_atom == pytest.approx((1.5 * -2.0 + 2.25 * -3.0) / 4)


def test_lowest_polymorph_counts_and_formulas_reduce():
    hull = ConvexHull(
        [entry("Ti", -1.0), entry("Ti2", -1.5), entry("O2", -4.0), entry("Ti2O4", -6.0), entry("TiO2", -5.9)]
    )
    assert hull.at("Ti").energy_per_atom == pytest.approx(-1.5)
    assert hull.at("Ti4O8").energy_per_atom == pytest.approx(-6.0)


def test_formation_energies_give_the_same_distances():
    """Tabulated formation energies with elemental references are the same hull as total energies."""
    elements = {"Li": -1.9, "Ti": -7.9, "O": -4.9}
    formation = {"Li2O": -2.0, "TiO2": -3.2, "Li2TiO3": -2.8, "TiO": -2.5}

    def total(formula):
        fractions = Composition(formula).fractional_composition
        return formation[formula] + sum(float(fractions[e]) * v for e, v in elements.items())

    by_total = ConvexHull([entry(e, v) for e, v in elements.items()] + [entry(f, total(f)) for f in formation])
    by_formation = ConvexHull(
        [entry(e, v, "elemental_reference") for e, v in elements.items()]
        + [entry(f, v, "formation_energy") for f, v in formation.items()]
    )
    for formula in ("Li4TiO4", "LiTiO2", "Ti3O5", "O", "LiO"):
        assert above(by_formation, formula, -5.0) == pytest.approx(above(by_total, formula, -5.0))


def test_a_point_has_its_energy_on_the_scale_of_formation_energies_too():
    hull = ConvexHull([entry("Na", -1.0), entry("Cl", -2.0), entry("NaCl", -2.0)])
    assert hull.at("NaCl").formation_energy_per_atom == pytest.approx(-0.5)
    assert hull.at("Na3Cl").formation_energy_per_atom == pytest.approx(-0.25)
    assert hull.at("Cl").formation_energy_per_atom == pytest.approx(0.0)
    table = ConvexHull(
        [entry("Na", -1.0, "elemental_reference"), entry("Cl", -2.0, "elemental_reference")]
        + [entry("NaCl", -0.5, "formation_energy")]
    )
    assert table.at("NaCl") == hull.at("NaCl")


def test_amounts_are_as_good_as_a_formula():
    hull = ConvexHull([entry("Li", 0.0), entry("Ti", 0.0), entry("O", 0.0), entry("Li2O", -2.0), entry("TiO2", -3.0)])
    point = hull.at("Li2TiO3")
    for amounts in ({"Li": 4, "Ti": 2, "O": 6}, {3: 2, 22: 1, 8: 3}, {"O": 0.5, "Ti": 1 / 6, "Li": 1 / 3, "Na": 0}):
        assert hull.at(amounts) is point  # found once
        assert hull.entries_in(amounts) == hull.entries_in("Li2TiO3") == 2
    assert hull.at({3: 2, 22: 1, 8: 2}) != point
    with pytest.raises(MissingReferenceError, match="Po"):
        hull.at({84: 1, 8: 2})


def test_equal_shares_are_in_one_order_whatever_the_rounding():
    hull = ConvexHull([entry("Li", 0.0), entry("Na", 0.0), entry("Cl", 0.0), entry("NaCl", -2.0), entry("LiCl", -2.0)])
    assert hull.at("NaLiCl2").decomposition == "0.500 NaCl + 0.500 LiCl"


def test_formulas_of_a_decomposition_are_reduced():
    hull = ConvexHull([entry("Na2", 0.0), entry("Cl2", 0.0), entry("Na4Cl4", -2.0), entry("Na1.5Cl0.5", -1.5)])
    assert hull.at("NaCl").decomposition == "1.000 NaCl"
    assert hull.at("Na3Cl").decomposition == "1.000 Na1.5Cl0.5"
    assert hull.at("Na").decomposition == "1.000 Na"


def test_missing_terminal_is_named_even_where_a_compound_is_there():
    hull = ConvexHull([entry("Na", -1.0), entry("NaPo", -2.0)])
    with pytest.raises(MissingReferenceError, match=r"^Po$"):
        hull.at("NaPo")
    with pytest.raises(MissingReferenceError, match=r"Po\+Rn"):
        hull.at("NaPoRn")


def test_mixed_kinds_are_refused():
    with pytest.raises(ValueError, match="not of both"):
        ConvexHull([entry("Na", -1.0), entry("NaCl", -2.0, "formation_energy")])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 4))
def test_agrees_with_pymatgen(seed, number_of_elements):
    """Random systems of up to four elements: hull energies of pymatgen's PhaseDiagram (convex hull by qhull)."""
    generator = random.Random(seed)
    elements = ["Li", "Ti", "O", "Cl"][:number_of_elements]
    values = {element: generator.uniform(-8, 0) for element in elements}
    for _ in range(12):
        amounts = {e: generator.randint(0, 4) for e in elements}
        if sum(amounts.values()):
            formula = Composition(amounts).reduced_formula
            mean = sum(n * values.get(e, 0) for e, n in amounts.items()) / sum(amounts.values())
            values.setdefault(formula, mean + generator.uniform(-2, 1))
    ours = ConvexHull([entry(f, e) for f, e in values.items()])
    theirs = PhaseDiagram([PDEntry(Composition(f), e * Composition(f).num_atoms) for f, e in values.items()])
    for _ in range(6):
        target = Composition({e: generator.randint(1, 5) for e in elements})
        expected = theirs.get_hull_energy_per_atom(target)
        assert ours.at(target.reduced_formula).energy_per_atom == pytest.approx(expected, abs=1e-6)


def test_elemental_energies_cover_chgnet():
    table = hull_entries.elemental_energies("chgnet")
    assert len(table) == 89
    assert not {"Po", "At", "Rn", "Fr", "Ra"} & table.keys()
    assert table["W"].energy_per_atom < table["Mo"].energy_per_atom < table["Na"].energy_per_atom < 0


@pytest.mark.skipif(not HULL, reason=NO_HULL)
def test_elemental_energies_are_those_of_the_materials_project():
    """CHGNet's elements against the DFT references it learnt: as far apart as CHGNet errs on elements."""
    elemental = hull_entries.elemental_reference_entries(Path(HULL) / "mp_elemental_reference_entries.json.gz")
    ours = hull_entries.elemental_energies("chgnet")
    errors = [ours[e.formula].energy_per_atom - e.energy_per_atom for e in elemental]
    assert len(errors) == 89
    assert np.abs(errors).max() < 0.25
    assert np.abs(errors).mean() < 0.06


# --- files -----------------------------------------------------------------------------------------------------------


def test_entries_survive_the_csv(tmp_path):
    entries = [entry("NaN", -1.25), entry("Na", -1.3, "elemental_reference")]  # pandas would read NaN as missing
    failed = [{"id": "x", "formula": "Po", "origin": "t", "status": "failed:unknown_element:Po"}]
    hull_entries.write_entries(tmp_path / "r.csv", "some hull", entries, failed)
    assert hull_entries.read_entries(tmp_path / "r.csv") == {"some hull": entries}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("formula,energy\nNaCl,-1\n", "lacks the column formation_energy_per_atom"),
        ("formula,formation_energy_per_atom\nNaCl,-1\nKCl,\n", "row 2: energy '' is not a number"),
        ("formula,formation_energy_per_atom\nNaCl,nan\n", "row 1: energy 'nan' is not a number"),
        ("formula,formation_energy_per_atom\nQx2,-1\n", "row 1: 'Qx2' is not a formula"),
    ],
)
def test_bad_tables(tmp_path, content, message):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        hull_entries.table_entries(tmp_path / "t.csv")


def test_truncated_gzip_and_missing_file(tmp_path):
    whole = gzip.compress(b"formula,formation_energy_per_atom\n" + b"NaCl,-1\n" * 5000)
    (tmp_path / "t.csv.gz").write_bytes(whole[: len(whole) // 2])
    for name in ("t.csv.gz", "absent.csv"):
        with pytest.raises(InputError, match=f"{name}: cannot read it"):
            hull_entries.table_entries(tmp_path / name)


def test_damaged_gzip(tmp_path):
    """A byte in the middle of the stream: zlib's own error, which is no OSError."""
    for name, read in (
        ("t.csv.gz", hull_entries.table_entries),
        ("t.json.gz", hull_entries.elemental_reference_entries),
        ("t.json.gz", hull_entries.computed_entries),
    ):
        content = bytearray(gzip.compress("".join(f"{n},NaCl,-2.{n}\n" for n in range(500)).encode()))
        content[20] ^= 0xFF
        with pytest.raises(zlib.error):
            gzip.decompress(content)
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name}: cannot read it"):
            read(tmp_path / name)


def test_byte_order_mark_is_no_part_of_a_column(tmp_path):
    """As Excel writes csv files."""
    text = "formula,formation_energy_per_atom\nNaCl,-2\n".encode("utf-8-sig")
    (tmp_path / "t.csv").write_bytes(text)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text))
    for name in ("t.csv", "t.csv.gz"):
        assert [e.formula for e in hull_entries.table_entries(tmp_path / name)] == ["NaCl"]


def test_computed_entries_take_corrections_and_no_pickle(tmp_path):
    """Entries as pymatgen writes them, with or without structure, alone or in a data frame."""
    plain = ComputedEntry("TiO", -10.0, correction=-1.0, entry_id="mp-1").as_dict()
    rock_salt = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.7), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    structured = ComputedStructureEntry(rock_salt, -24.0, entry_id="mp-2").as_dict()
    structured.pop("composition", None)
    for number, content in enumerate(([plain, structured], {"entry": {"0": plain, "1": structured}})):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(content))
        found = [(e.formula, e.energy_per_atom, e.id) for e in hull_entries.computed_entries(path)]
        assert found == [("Ti1O1", -5.5, "mp-1"), ("Na4Cl4", -3.0, "mp-2")]
    for path in (Path(), Path("2023-02-07-ppd-mp.pkl.gz")):
        with pytest.raises(InputError, match="pickle"):
            hull_entries.computed_entries(path)


@pytest.mark.skipif(not HULL, reason=NO_HULL)
def test_known_energies_above_hull():
    """Distances of the Materials Project's own entries, from their formation energies: MAE of a few meV/atom."""
    table = Path(HULL) / "mp_formation_energies.csv.gz"
    elemental = hull_entries.elemental_reference_entries(Path(HULL) / "mp_elemental_reference_entries.json.gz")
    hull = ConvexHull(elemental + hull_entries.table_entries(table))
    energies = {e.formula: e.energy_per_atom for e in elemental}
    with gzip.open(table, "rt", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["e_above_hull"]]
    errors = []
    for row in random.Random(0).sample(rows, 300):
        fractions = Composition(row["formula"]).fractional_composition.get_el_amt_dict()
        total = float(row["formation_energy_per_atom"]) + sum(share * energies[e] for e, share in fractions.items())
        errors.append(above(hull, row["formula"], total) - float(row["e_above_hull"]))
    assert np.abs(errors).mean() < 0.003
    assert np.mean(np.abs(errors) < 0.005) > 0.9


ENTRY = {"composition": {"Fe": 2.0}, "energy": -16.6, "correction": -0.2, "entry_id": "mp-13"}


@pytest.mark.parametrize(
    "entry",
    [
        3,
        None,
        [],
        {},
        {**ENTRY, "composition": {}},
        {**ENTRY, "composition": {"": 1}},
        {**ENTRY, "composition": {"Fe": 0}},
        {**ENTRY, "composition": {"Fe": -2}},
        {**ENTRY, "composition": {"Fe": 1e12}},
        {**ENTRY, "composition": {"Fe": None}},
        {**ENTRY, "composition": {"Xx": 1}},
        {**ENTRY, "composition": ["Fe"]},
        {**ENTRY, "composition": ""},
        {**ENTRY, "composition": "nonsense"},
        {**ENTRY, "energy": None},
        {**ENTRY, "energy": "low"},
        {**ENTRY, "energy": 10**400},
        {**ENTRY, "energy": True},
        {**ENTRY, "energy": float("nan")},
        {**ENTRY, "correction": "x"},
        {"energy": -1.0},
        {"energy": -1.0, "structure": 3},
        {"energy": -1.0, "structure": {"sites": [[]]}},
        {"energy": -1.0, "structure": {"sites": []}},
        {"energy": -1.0, "structure": {"sites": [{"species": [{"element": "Fe"}]}]}},
        {"energy": -1.0, "structure": {"sites": [{"species": [{"element": "Fe", "occu": "1"}]}]}},
    ],
)
def test_damaged_entries_are_refused_in_one_line(tmp_path, entry):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"Fe": entry}))
    for read in (hull_entries.elemental_reference_entries, hull_entries.computed_entries):
        with pytest.raises(InputError, match=r"a\.json: entry Fe ") as error:
            read(path)
        assert "\n" not in str(error.value)
        assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("composition", "formula", "atoms"),
    [({"Fe": 2.0}, "Fe2", 2), ({"Fe2+": 1, "Fe3+": 2}, "Fe3", 3), ("Fe4", "Fe4", 4), ({"Fe": 0.25}, "Fe0.25", 0.25)],
)
def test_compositions_of_every_form(tmp_path, composition, formula, atoms):
    (tmp_path / "a.json").write_text(json.dumps([{**ENTRY, "composition": composition}]))
    (entry,) = hull_entries.computed_entries(tmp_path / "a.json")
    assert (entry.formula, entry.id) == (formula, "mp-13")
    assert entry.energy_per_atom == pytest.approx(-16.8 / atoms)


@pytest.mark.parametrize(
    "text", ["[" * 200_000, '{"Fe": ' + "[" * 200_000, "[" + "9" * 5000 + "]", '{"Fe": 1, "Fe": 2}', "\x00"]
)
def test_damaged_json_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    for read in (hull_entries.elemental_reference_entries, hull_entries.computed_entries):
        with pytest.raises(InputError, match=r"a\.json: ") as error:
            read(tmp_path / "a.json")
        assert "\n" not in str(error.value)
        assert len(str(error.value)) < 500


@pytest.mark.parametrize("cut", ["NaCl,-1.8,mp-1\nFe2O3,-1.", "NaCl,-1.8,mp-1\nFe2O3", "NaCl,-1.8,mp-1,5,6\n"])
def test_a_row_of_another_length_is_not_believed(tmp_path, cut):
    (tmp_path / "a.csv").write_text("formula,formation_energy_per_atom,material_id\n" + cut)
    with pytest.raises(InputError, match=r"a\.csv, row \d: not as many values as the header"):
        hull_entries.table_entries(tmp_path / "a.csv")
