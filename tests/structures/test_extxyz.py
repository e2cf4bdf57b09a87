"""Extended xyz: what ASE reads is read the same, and a damaged frame costs itself."""

from __future__ import annotations

import io
import time

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.io.extxyz import key_val_str_to_dict
from hypothesis import given
from hypothesis import strategies as st
from tests.structures.test_cif import assert_same

from symmcd.errors import InputError
from symmcd.structures.cell import Cell
from symmcd.structures.convert import from_atoms
from symmcd.structures.crystal import StructureError
from symmcd.structures.extxyz import atoms_of_frame, frames, key_values
from symmcd.structures.read import read_structures
from symmcd.structures.write import read_extxyz

CELL = 'Lattice="4.12 0 0 0 4.12 0 0 0 4.12" Properties=species:S:1:pos:R:3'


def frame(first="Cs", values=f'{CELL} pbc="T T T"', count=2, rows=None) -> str:
    lines = rows or [f"{first} 0 0 0", "Cl 2.06 2.06 2.06"]
    return "\n".join([str(count), values, *lines]) + "\n"


def read(tmp_path, text):
    path = tmp_path / "a.extxyz"
    path.write_text(text, encoding="utf-8")
    return read_structures(path)


def outcome(found):
    return [crystal.reason if isinstance(crystal, StructureError) else "read" for _, crystal in found]


@pytest.mark.parametrize("symbol", ["D", "T", "d"])
def test_isotopes_are_hydrogen(tmp_path, symbol):
    found = read(tmp_path, frame() + frame(symbol) + frame())
    assert outcome(found) == ["read"] * 3
    assert found[1][1].element.tolist() == [1, 17]


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        (frame("Li1"), "unknown_element"),
        (frame("Fe3+"), "unknown_element"),
        (frame("X"), "unknown_element"),
        (frame("11"), "unknown_element"),
        (frame(rows=["Cs 0 0 0", "Cl 2.06 2.06"]), "unparseable"),
        (frame(rows=["Cs 0 0 zero", "Cl 2.06 2.06 2"]), "unparseable"),
        (frame(rows=["Cs 0 0 nan", "Cl 2.06 2.06 2"]), "bad_position"),
        (frame(count=3), "unparseable"),
        (frame(count=1), "unparseable"),
        (frame(count=-2), "unparseable"),
        (frame(count=10**12), "unparseable"),
        (frame(count="9" * 5000), "unparseable"),
        (frame(values=CELL.replace("4.12 0 0 0", "4.12 0 0")), "bad_cell"),
        (frame(values=CELL.replace("4.12", "inf")), "bad_cell"),
        (frame(values=CELL.replace("4.12", "0")), "bad_cell"),
        (frame(values=CELL.replace("R:3", "R:2")), "bad_position"),
        (frame(values=CELL.replace("R:3", "R:3:orbit:I:999999999")), "unparseable"),
        (frame(values=CELL.replace("R:3", "R:99999999999999999999")), "unparseable"),
        (frame(values=CELL.replace("R:3", "Q:3")), "unparseable"),
        (frame(values=CELL.replace("species:S:1:", "")), "unparseable"),
        (frame(values=CELL + ' Lattice="5 0 0 0 5 0 0 0 5"'), "unparseable"),
        (frame(values=""), "bad_cell"),
        ("0\n" + CELL + "\n", "no_atoms"),
        (frame(values=f"{CELL} stress=foo energy=bar", first="Cs"), "read"),  # ASE's reader ends on this
        (frame(values=f'{CELL} note="_JSON [[["'), "read"),
    ],
)
def test_a_damaged_frame_is_a_row_among_good_ones(tmp_path, damaged, reason):
    found = read(tmp_path, frame("Na") + damaged + frame("K"))
    assert outcome(found) == ["read", reason, "read"]
    assert [found[0][1].element[0], found[2][1].element[0]] == [11, 19]
    assert [name for name, _ in found] == ["00000", "00001", "00002"]


def test_a_frame_without_its_count_is_a_row(tmp_path):
    lost = "\n".join(frame().splitlines()[1:]) + "\n"
    assert outcome(read(tmp_path, frame("Na") + lost + lost + frame("K"))) == [
        "read",
        "unparseable",
        "unparseable",
        "read",
    ]
    assert outcome(read(tmp_path, frame("Na") + frame(count="2x") + frame("K"))) == ["read", "unparseable", "read"]
    with pytest.raises(InputError, match="not readable as extended xyz"):
        read(tmp_path, lost)


def test_a_file_that_ends_early(tmp_path):
    whole = frame("Na") + frame("K")
    for end, last in ((-1, "read"), (-12, "unparseable"), (-30, "unparseable"), (-len(frame("K")) + 2, "unparseable")):
        assert outcome(read(tmp_path, whole[:end])) == ["read", last], end


@pytest.mark.parametrize("blank", ["\n", "\n\n\n", "   \n", "\t\n \n"])
def test_blank_lines_between_and_after_frames(tmp_path, blank):
    found = read(tmp_path, blank + frame("Na") + blank + frame("K") + blank)
    assert [crystal.element[0] for _, crystal in found] == [11, 19]


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends_of_other_systems(tmp_path, end):
    (tmp_path / "a.xyz").write_bytes((frame("Na") + frame("K")).replace("\n", end).encode())
    assert outcome(read_structures(tmp_path / "a.xyz")) == ["read", "read"]


@pytest.mark.parametrize(
    ("pbc", "words"),
    [
        ('"F F F"', "molecule"),
        ('"T T F"', "slab"),
        ('"F T T"', "slab"),
        ('"T F F"', "chain"),
        ("F", "molecule"),
        ('"0 0 0"', "molecule"),
        ('"T T"', "expected three"),
        ('"yes no maybe"', "expected three"),
    ],
)
def test_what_is_not_periodic_is_no_crystal(tmp_path, pbc, words):
    found = read(tmp_path, frame() + frame(values=f"{CELL} pbc={pbc}"))
    assert outcome(found) == ["read", "bad_cell"]
    assert words in found[1][1].detail


@pytest.mark.parametrize(
    "values", [CELL, f'{CELL} pbc="T T T"', f"{CELL} pbc=T", f'{CELL} pbc="1 1 1"', f"{CELL} pbc={{T T T}}"]
)
def test_a_lattice_means_periodic_where_nothing_is_said(tmp_path, values):
    assert outcome(read(tmp_path, frame(values=values))) == ["read"]


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (f"{CELL} id=mp-7", "mp-7"),
        (f'{CELL} material_id="mp-7"', "mp-7"),
        (f'{CELL} note="made from id=mp-9 of another" id=mp-7', "mp-7"),
        (f"{CELL} note='id=mp-9' material_id=mp-7", "mp-7"),
        (f"{CELL} note={{id=mp-9}}", "00000"),
        (f'{CELL} note="a \\" id=mp-9 "', "00000"),
        (f"{CELL} grid=mp-9", "00000"),
        (f'{CELL} id="00012"', "00012"),
        (f'{CELL} id = "a b"', "a b"),
        (f'{CELL} id="a=b"', "a=b"),
        (f'{CELL} id="1e5"', "1e5"),
    ],
)
def test_ids(tmp_path, values, name):
    assert [found for found, _ in read(tmp_path, frame(values=values))] == [name]


def test_repeated_ids_lose_nothing(tmp_path, capsys):
    text = "".join(frame(symbol, f"{CELL} material_id=mp-7") for symbol in ("Na", "K", "Rb"))
    found = read(tmp_path, text)
    assert [name for name, _ in found] == ["mp-7", "mp-7#2", "mp-7#3"]
    assert [crystal.element[0] for _, crystal in found] == [11, 19, 37]
    assert "2 of 3 crystals have the name of another" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"frame 1 \(line 1\) and frame 2 \(line 5\) have the same id, 'mp-7'"):
        read_extxyz(tmp_path / "a.extxyz")


@pytest.mark.parametrize(
    "damaged", [frame("X"), frame(count=3), frame(count=10**12), frame(values=CELL.replace("R:3", "R:3:o:I:99999999"))]
)
def test_our_own_file_is_refused_by_the_number_of_the_damaged_frame(tmp_path, damaged):
    path = tmp_path / "a.extxyz"
    path.write_text(frame(values=f"{CELL} id=a") + damaged + frame(values=f"{CELL} id=b"))
    with pytest.raises(InputError, match=r"frame 2 \(line 5\)"):
        read_extxyz(path)


def test_a_frame_without_id_is_not_ours(tmp_path):
    (tmp_path / "a.extxyz").write_text(frame(values=f"{CELL} id=a") + frame())
    with pytest.raises(InputError, match=r"frame 2 \(line 5\) has no id"):
        read_extxyz(tmp_path / "a.extxyz")


def test_what_ase_writes_is_read_as_ase_reads_it(tmp_path):
    random = np.random.default_rng(0)
    written = []
    for i in range(20):
        atoms = Atoms(
            random.integers(1, 100, 5),
            random.random((5, 3)) * 6,
            cell=random.normal(0, 2, (3, 3)) + 6 * np.eye(3),
            pbc=True,
        )
        atoms.set_array("wyckoff", np.array(list("abcde")))
        atoms.set_array("orbit", np.arange(5))
        atoms.set_array("moment", random.random((5, 2)))
        atoms.set_array("fixed", random.random(5) > 0.5)
        atoms.info = {"id": f"x{i}", "n": i, "e": -1.5 * i, "ok": i % 2 == 0, "note": 'a "b" {c}', "v": [1, 2, 3]}
        written.append(atoms)
    path = tmp_path / "a.extxyz"
    ase.io.write(path, written, format="extxyz")
    theirs, ours = ase.io.read(path, index=":"), read_extxyz(path)
    for a, b, (_, crystal) in zip(theirs, ours, read_structures(path), strict=True):
        assert_same(crystal, from_atoms(a))
        assert {key: b.info[key] for key in ("id", "n", "e", "ok", "note")} == {
            key: a.info[key] for key in ("id", "n", "e", "ok", "note")
        }
        assert a.arrays.keys() == b.arrays.keys()
        for name in a.arrays:
            assert (a.arrays[name] == b.arrays[name]).all(), name
        np.testing.assert_array_equal(a.cell.array, b.cell.array)


words = st.text(st.sampled_from("ab=1 \"'{}[]\\,"), max_size=25)


@given(words)
def test_keys_and_values_are_divided_as_ase_does(text):
    """But for an empty value in quotes, behind which ASE takes the next key for the value."""
    if any(empty in text for empty in ('""', "''", "{}", "[]", "= ", "\\ ")) or text.endswith("="):
        return
    try:
        theirs = key_val_str_to_dict(text)
    except (ValueError, IndexError):
        return
    ours = dict(key_values(text))
    assert [key for key in theirs if key] == [key for key in ours if key]
    for key, value in theirs.items():
        if key and isinstance(value, str):
            assert ours[key] == value


def test_atomic_numbers_beside_names_of_sites():
    values = 'Lattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:Z:I:1:pos:R:3'
    (found,) = frames(io.StringIO(f"1\n{values}\nFe1 26 0 0 0\n"))
    assert atoms_of_frame(found).numbers.tolist() == [26]
    (found,) = frames(io.StringIO(f"1\n{values}\nCo 26 0 0 0\n"))
    with pytest.raises(StructureError, match="name different elements"):
        atoms_of_frame(found)


def test_long_comments_are_read_at_once(tmp_path):
    long = "x" * 3_000_000 + '"' + '\\"' * 1_000_000
    begin = time.monotonic()
    found = read(tmp_path, frame(values=f"{CELL} note={long}"))
    assert time.monotonic() - begin < 30
    assert isinstance(found[0][1], Cell)
