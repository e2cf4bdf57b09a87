"""Tables, folders and other people's files: everything in them is read or named as bad."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile

import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from pymatgen.core import Lattice, Structure
from tests.structures.random_units import random_units
from tests.structures.test_cif import assert_same, rock_salt

from symmcd.crystallography.orbit import replicate_flat
from symmcd.errors import InputError
from symmcd.structures.cell import Cell
from symmcd.structures.convert import from_structure, to_structure
from symmcd.structures.crystal import StructureError
from symmcd.structures.read import read_rows, read_structures
from symmcd.structures.write import p1_cif, write_cifs, write_extxyz

SALT = Cell(5.64 * np.eye(3), np.array([11, 17]), np.array([[0, 0, 0], [0.5, 0.5, 0.5]]))


def table(path, rows, columns=("", "material_id", "band_gap", "cif", "e_above_hull")):
    """A csv like the public ones: an index without a name, and columns nobody asked for."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([columns, *rows])
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_extra_columns_are_ignored_and_blanks_are_unknown(tmp_path, name):
    path = table(tmp_path / name, [(0, "mp-1", 2.0, rock_salt(), 0.01), (1, "mp-2", 3.0, "broken", "")])
    first, second = read_rows(path)
    assert (first.number, first.material_id, first.cif, first.properties) == (
        1,
        "mp-1",
        rock_salt(),
        {"e_above_hull": 0.01},
    )
    assert (second.number, second.material_id, second.properties) == (2, "mp-2", {})


def test_without_ids_rows_are_numbered(tmp_path):
    path = table(tmp_path / "a.csv", [(rock_salt(),)] * 2, ["cif"])
    assert [row.material_id for row in read_rows(path)] == ["row1", "row2"]


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path, name):
    """Spreadsheets write one; the column after it would not be found, and the crystals would lose their names."""
    content = table(tmp_path / "plain.csv", [("mp-1", rock_salt())], ("material_id", "cif")).read_bytes()
    marked = b"\xef\xbb\xbf" + content
    (tmp_path / name).write_bytes(gzip.compress(marked) if name.endswith(".gz") else marked)
    assert [row.material_id for row in read_rows(tmp_path / name)] == ["mp-1"]


def test_a_byte_order_mark_in_a_cif_or_json(tmp_path):
    (tmp_path / "a.cif").write_bytes(b"\xef\xbb\xbf" + rock_salt().encode())
    structure = {"salt": to_structure(SALT).as_dict()}
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(structure).encode())
    for name in ("a.cif", "a.json"):
        ((_, crystal),) = read_structures(tmp_path / name)
        assert isinstance(crystal, Cell), crystal


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty file"),
        ("material_id,structure\na,b\n", r"no column 'cif'; the columns are material_id, structure"),
        ("material_id,cif\na,b\nc\n", "row 2 has another number of values"),
        ("material_id,cif\na,b,c\n", "row 1 has another number of values"),
        ("material_id,cif,e_above_hull\na,b,low\n", "row 1, .*e_above_hull.*'low'"),
    ],
)
def test_bad_tables_say_what_is_wrong(tmp_path, content, message):
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as error:
        list(read_rows(path))
    assert str(path) in str(error.value)
    assert "damaged" not in str(error.value)


def test_truncated_gzip_says_after_which_row(tmp_path):
    path = table(
        tmp_path / "a.csv.gz", [(i, f"mp-{i}", np.random.default_rng(i).bytes(300).hex(), "x", "") for i in range(500)]
    )
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(InputError, match=r"damaged after row \d\d+ .*fetch it again"):
        list(read_rows(path))


def test_not_gzip_and_not_there(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_text("material_id,cif\n")
    with pytest.raises(InputError, match="damaged after row 0"):
        list(read_rows(path))
    with pytest.raises(InputError, match="no such file"):
        list(read_rows(tmp_path / "b.csv"))


def test_folder_of_cifs(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "b.cif").write_text(rock_salt())
    (tmp_path / "sub" / "a.CIF").write_bytes(
        b"# \xe9 is latin-1\n" + (rock_salt() + rock_salt().replace("NaCl", "two")).encode()
    )
    (tmp_path / "broken.cif").write_text("nonsense")
    (tmp_path / "readme.txt").write_text("not a crystal")
    assert [row.material_id for row in read_rows(tmp_path)] == ["b", "broken", "sub/a:NaCl", "sub/a:two"]
    found = dict(read_structures(tmp_path))
    assert found["broken"].reason == "unparseable"
    assert all(isinstance(found[name], Cell) for name in ("b", "sub/a:NaCl", "sub/a:two"))
    with pytest.raises(InputError, match=r"no \.cif files"):
        list(read_rows(tmp_path / "empty"))


def test_our_own_outputs_are_read_back(tmp_path):
    units = random_units([12, 166, 225])
    crystals = replicate_flat(units)
    write_extxyz(tmp_path / "a.extxyz", crystals, units)
    write_cifs(tmp_path / "a.zip", crystals, units)
    write_cifs(tmp_path / "cif", crystals, units)
    extxyz, packed, folder = (read_structures(tmp_path / name) for name in ("a.extxyz", "a.zip", "cif"))
    assert [name for name, _ in extxyz] == ["00000", "00001", "00002"]
    assert [name for name, _ in packed] == [name for name, _ in folder]
    for (_, a), (_, b), (_, c) in zip(extxyz, packed, folder, strict=True):
        assert_same(a, b)
        assert_same(b, c, 1e-9)


def test_bad_frames_of_an_extxyz_stay_in_the_list(tmp_path):
    good = Atoms([11, 17], cell=5.64 * np.eye(3), scaled_positions=SALT.position, pbc=True)
    molecule = Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.74]])
    double = Atoms("H2", positions=np.zeros((2, 3)), cell=np.eye(3) * 5, pbc=True)
    write(tmp_path / "a.xyz", [good, molecule, double], format="extxyz")
    found = read_structures(tmp_path / "a.xyz")
    assert [name for name, _ in found] == ["00000", "00001", "00002"]
    assert_same(found[0][1], SALT)
    assert [error.reason for _, error in found[1:]] == ["bad_cell", "redundant"]
    (tmp_path / "a.xyz").write_text("three\nblind mice\n")
    with pytest.raises(InputError, match="not readable as extended xyz"):
        read_structures(tmp_path / "a.xyz")


def test_pymatgen_json(tmp_path):
    good = to_structure(SALT).as_dict()
    half = Structure(Lattice.cubic(4), [{"Fe": 0.5, "Co": 0.5}], [[0, 0, 0]]).as_dict()
    path = tmp_path / "a.json.gz"
    for content, names in (
        (good, ["00000"]),
        ([good, half, 3, {"lattice": 1}], ["00000", "00001", "00002", "00003"]),
        ({"salt": good, "alloy": half}, ["salt", "alloy"]),
        ([{"structure": good, "energy": 1.0}], ["00000"]),
    ):
        with gzip.open(path, "wt") as file:
            json.dump(content, file)
        found = read_structures(path)
        assert [name for name, _ in found] == names
        assert_same(found[0][1], SALT)
        reasons = [error.reason for _, error in found[1:]]
        assert reasons == ["disordered", "unparseable", "unparseable"][: len(found) - 1]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"{", "not readable as JSON"),
        ("a.json", b"3", "expected pymatgen structures"),
        ("a.json", b"[]", "no crystals"),
        ("a.zip", b"PK no", "not a readable zip"),
        ("a.extxyz", b"", "no crystals"),
        ("a.poscar", b"", "unknown kind of file"),
        ("a.csv", b"cif\n", "no crystals"),
    ],
)
def test_unusable_files(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_structures(tmp_path / name)
    with pytest.raises(InputError, match="no such file or folder"):
        read_structures(tmp_path / "elsewhere")


def test_damaged_member_of_a_zip(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.cif", rock_salt())
        archive.writestr("__MACOSX/a.cif", "rubbish")
    assert [name for name, _ in read_structures(path)] == ["a"]
    path.write_bytes(path.read_bytes().replace(b"5.64", b"5.65", 1))
    with pytest.raises(InputError, match="not a readable zip file"):
        read_structures(path)


def test_conversions_keep_the_crystal():
    from symmcd.structures.cell import cells_of
    from symmcd.structures.convert import crystals_to_structures, from_atoms, to_atoms

    crystals = replicate_flat(random_units([2, 88, 194]))
    for crystal, structure in zip(cells_of(crystals), crystals_to_structures(crystals), strict=True):
        assert_same(from_atoms(to_atoms(crystal)), crystal, 1e-9)
        assert_same(from_structure(structure), crystal, 1e-9)
    with pytest.raises(StructureError, match="disordered"):
        from_structure(Structure(Lattice.cubic(4), [{"Fe": 0.5}], [[0, 0, 0]]))
    assert p1_cif("x", SALT) == p1_cif("x", from_structure(to_structure(SALT)))
