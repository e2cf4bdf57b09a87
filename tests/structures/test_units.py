"""`symmcd.reduce` of a path: one crystal of any kind of file, or words."""

from __future__ import annotations

import json
import os

import pytest
from pymatgen.core import Lattice, Structure
from tests.crystallography.prototypes import prototype

import symmcd
from symmcd import InputError
from symmcd.structures.convert import from_structure, to_atoms
from symmcd.structures.write import p1_cif


@pytest.fixture
def folder(tmp_path):
    rutile = prototype("TiO2 rutile")
    crystal = from_structure(rutile)
    (tmp_path / "x.cif").write_text(p1_cif("x", crystal))
    to_atoms(crystal).write(tmp_path / "x.extxyz", format="extxyz")
    (tmp_path / "x.json").write_text(json.dumps(rutile.as_dict()))
    (tmp_path / "two.json").write_text(json.dumps([rutile.as_dict(), prototype("NaCl").as_dict()]))
    half = Structure(Lattice.cubic(3), [{"Fe": 0.5, "Ni": 0.5}], [[0, 0, 0]])
    (tmp_path / "half.json").write_text(json.dumps(half.as_dict()))
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "x.cif").write_text(p1_cif("x", crystal))
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.cif.bak").write_text("")
    return tmp_path


@pytest.mark.parametrize("name", ["x.cif", "x.extxyz", "x.json", "one"])
def test_one_crystal_of_any_kind_of_file(folder, name):
    for path in (folder / name, str(folder / name)):
        unit = symmcd.reduce(path)
        assert (unit.template, unit.composition) == ("136_a_f", {22: 2, 8: 4})


def test_a_path_beside_the_working_directory(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert symmcd.reduce("x.cif").space_group == 136
    assert symmcd.reduce(next(entry for entry in os.scandir(".") if entry.name == "x.cif")).space_group == 136


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("two.json", r"two\.json: 2 crystals \(00000, 00001, …\), and one is expected"),
        ("half.json", r"disordered: .*half\.json"),
        ("missing.cif", "no such file"),
        ("empty", "no .cif files"),
        ("x.cif.bak", "unknown kind of file"),
    ],
)
def test_words_for_what_is_not_one_crystal(folder, name, words):
    with pytest.raises(InputError, match=words):
        symmcd.reduce(folder / name)


@pytest.mark.parametrize("text", ["", "TiO2", "data_x\n_cell_length_a 4\n", "x" * 5000, "a\0b"])
def test_a_text_that_is_no_path(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        symmcd.reduce(text)
