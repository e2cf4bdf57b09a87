"""Crystals in JSON: those of pymatgen are read, nothing in the file is run, and what is no crystal says so."""

from __future__ import annotations

import contextlib
import json
import sys

import pytest
from pymatgen.core import Lattice, Species, Structure
from pymatgen.entries.computed_entries import ComputedStructureEntry
from tests.structures.test_cif import assert_same
from tests.structures.test_read import SALT

from symmcd.errors import InputError
from symmcd.structures.cell import Cell
from symmcd.structures.convert import from_structure, to_structure
from symmcd.structures.crystal import StructureError
from symmcd.structures.read import read_structures

GOOD = to_structure(SALT).as_dict()


def read(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_structures(path)


def changed(**changes):
    """The salt with other values, each named by its path, as ``sites.0.abc``."""
    found = json.loads(json.dumps(GOOD))
    for name, value in changes.items():
        *path, last = (int(key) if key.isdigit() else key for key in name.split("__"))
        place = found
        for key in path:
            place = place[key]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return found


def test_what_pymatgen_writes_is_read_as_pymatgen_reads_it(tmp_path):
    charged = Structure(Lattice.from_parameters(4, 5, 6, 80, 95, 110), [Species("Fe", 3), Species("O", -2, spin=1)],
                        [[0, 0, 0], [0.4, 0.5, 0.6]], site_properties={"magmom": [1.0, 0.0]})  # fmt: skip
    for structure in (to_structure(SALT), charged):
        for written in (structure.as_dict(), structure.as_dict(verbosity=0), json.loads(structure.to_json())):
            ((name, crystal),) = read(tmp_path, written)
            assert name == "00000"
            assert_same(crystal, from_structure(Structure.from_dict(written)))
            assert_same(crystal, from_structure(structure))
    entry = ComputedStructureEntry(charged, -3.0)
    ((_, crystal),) = read(tmp_path, json.dumps([entry.as_dict()]))
    assert_same(crystal, from_structure(charged))


def test_a_lattice_by_lengths_and_angles(tmp_path):
    lattice = {key: value for key, value in GOOD["lattice"].items() if key not in ("matrix", "pbc")}
    ((_, crystal),) = read(tmp_path, changed(lattice=lattice))
    assert_same(crystal, SALT)


def test_deuterium_is_hydrogen(tmp_path):
    ((_, crystal),) = read(tmp_path, changed(sites__0__species__0__element="D"))
    assert crystal.element.tolist() == [1, 17]


@pytest.mark.parametrize(
    "content",
    [
        {"structure": {"0": GOOD, "1": GOOD}, "energy": {"0": -1.0, "1": -2.0}},
        {"energy": {"0": -1.0, "1": -2.0}, "structure": {"0": GOOD, "1": GOOD}},
        {"structure": {"0": GOOD, "1": GOOD}},
    ],
)
def test_a_data_frame_is_the_crystals_of_its_column(tmp_path, content):
    found = read(tmp_path, content)
    assert [name for name, _ in found] == ["0", "1"]
    for _, crystal in found:
        assert_same(crystal, SALT)


def test_of_a_data_frame_what_is_no_structure_is_a_row(tmp_path):
    found = read(tmp_path, {"structure": {"a": GOOD, "b": "Full Formula (Na1 Cl1)", "c": None}, "energy": {"a": 1}})
    assert isinstance(found[0][1], Cell)
    assert [error.reason for _, error in found[1:]] == ["unparseable"] * 2


@pytest.mark.parametrize("record", [{"structure": GOOD}, {"structure": GOOD, "energy": -1.0, "parameters": {}}])
def test_one_record_is_one_crystal(tmp_path, record):
    ((name, crystal),) = read(tmp_path, record)
    assert name == "00000"
    assert_same(crystal, SALT)


def test_a_crystal_may_be_named_structure(tmp_path):
    assert [name for name, _ in read(tmp_path, {"structure": GOOD, "other": GOOD})] == ["structure", "other"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"columns": ["structure"], "index": [0], "data": [[GOOD]]},
            "the keys columns, index, data, without a structure",
        ),
        ({"energy": -1.0, "band_gap": 2.0}, "the keys energy, band_gap, without a structure"),
        ({"structures": [GOOD]}, "the keys structures, without a structure"),
        ('"text"', "found str"),
        ("null", "found NoneType"),
        ("[" * 200_000, "nested too deep"),
        ('{"a":' * 200_000, "nested too deep"),
        ("[" + "9" * 5000 + "]", "not readable as JSON"),
        ('{"a": 1} x', "not readable as JSON"),
    ],
)
def test_files_without_crystals_are_refused_in_words(tmp_path, content, message):
    with pytest.raises(InputError, match=message) as error:
        read(tmp_path, content)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_names_that_repeat_lose_nothing(tmp_path):
    other = json.dumps(changed(sites__0__species__0__element="K"))
    found = read(tmp_path, f'{{"a": {json.dumps(GOOD)}, "b": {json.dumps(GOOD)}, "a": {other}}}')
    assert [name for name, _ in found] == ["a", "b", "a#2"]
    assert [crystal.element[0] for _, crystal in found] == [11, 11, 19]
    found = read(tmp_path, f'[{{"lattice": 1, "lattice": {json.dumps(GOOD["lattice"])}, "sites": []}}]')
    assert [error.reason for _, error in found] == ["unparseable"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"lattice": 3}, "bad_cell"),
        ({"lattice__matrix": [[1, 0, 0]]}, "bad_cell"),
        ({"lattice__matrix__0": [1, "2", 3]}, "bad_cell"),
        ({"lattice__matrix__0__0": float("nan")}, "bad_cell"),
        ({"lattice__matrix__0__0": 10**400}, "bad_cell"),
        ({"lattice__matrix__0": [0, 0, 0]}, "bad_cell"),
        ({"lattice__pbc": [True, True, False]}, "bad_cell"),
        ({"lattice": {"a": 1, "b": 2, "c": 3, "alpha": 90, "beta": 90, "gamma": 190}}, "bad_cell"),
        ({"lattice": {"a": 1}}, "bad_cell"),
        ({"sites": {}}, "unparseable"),
        ({"sites": ...}, "unparseable"),
        ({"sites": []}, "no_atoms"),
        ({"sites__0": 3}, "unparseable"),
        ({"sites__0__abc": ...}, "bad_position"),
        ({"sites__0__abc": [0, 0]}, "bad_position"),
        ({"sites__0__abc__1": None}, "bad_position"),
        ({"sites__0__abc__1": float("inf")}, "bad_position"),
        ({"sites__0__species": []}, "unparseable"),
        ({"sites__0__species": [3]}, "unparseable"),
        ({"sites__0__species__0__occu": 0.5}, "disordered"),
        ({"sites__0__species__0__occu": "1"}, "disordered"),
        ({"sites__0__species__0__element": "X"}, "unknown_element"),
        ({"sites__0__species__0__element": "Li1"}, "unknown_element"),
        ({"sites__0__species__0__element": 3}, "unknown_element"),
        ({"sites__0__abc": [0.5, 0.5, 0.501]}, "disordered"),
    ],
)
def test_a_damaged_structure_is_a_row(tmp_path, changes, reason):
    found = read(tmp_path, {"a": GOOD, "b": changed(**changes), "c": GOOD})
    assert [c.reason if isinstance(c, StructureError) else "read" for _, c in found] == ["read", reason, "read"]


EVIL = {"@module": "evil_module", "@class": "Evil", "x": 1}


@pytest.mark.parametrize(
    "content",
    [
        changed(sites__0__properties={"magmom": EVIL}),
        changed(properties=EVIL),
        changed(lattice__extra=EVIL),
        changed(sites__0__species__0__properties=EVIL),
        changed(sites__0__label=EVIL),
        {**EVIL, "structure": GOOD},
        [EVIL],
        {"a": {"structure": EVIL}, "b": EVIL},
        {"data": EVIL},
        {**changed(), "@module": "evil_module", "@class": "Evil"},
    ],
)
def test_a_file_imports_no_module(tmp_path, monkeypatch, content):
    (tmp_path / "evil_module.py").write_text("open('ran', 'w').close()\n\nclass Evil:\n    from_dict = dict\n")
    (tmp_path / "a.json").write_text(json.dumps(content))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    with contextlib.suppress(InputError):
        read_structures(tmp_path / "a.json")
    assert not (tmp_path / "ran").exists()
    assert "evil_module" not in sys.modules
