"""Names that users give, as file names, data blocks and values of extended xyz: unique, and inside their folder."""

from __future__ import annotations

import io
from pathlib import Path, PurePath

import pytest
from ase.io.extxyz import key_val_str_to_dict, write_xyz
from hypothesis import given
from hypothesis import strategies as st

from symmcd.structures.extxyz import key_values
from symmcd.structures.names import (
    ase_info,
    extxyz_ids,
    extxyz_value,
    file_stem,
    file_stems,
    is_companion,
    unique,
)

names = st.text(st.characters() | st.sampled_from("./\\\"'{}[]= \n\r\t_-#"), max_size=30)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("._x.cif", True),
        ("a/b/._x.cif", True),
        ("__MACOSX/x.cif", True),
        ("data/__MACOSX/sub/x.cif", True),
        (".DS_Store", True),
        ("sub/Thumbs.db", True),
        ("sub/desktop.ini", True),
        ("DESKTOP.INI", True),
        ("a\\__MACOSX\\x.cif", True),
        ("._sub/x.cif", True),
        ("x.cif", False),
        ("_x.cif", False),
        (".x.cif", False),
        ("a._x.cif", False),
        ("MACOSX/x.cif", False),
        ("thumbs.cif", False),
    ],
)
def test_companions_of_macos_and_windows(path, told):
    assert is_companion(path) == is_companion(PurePath(path)) or "\\" in path
    assert is_companion(path) is told


def test_unique_names_are_the_given_ones_where_they_can_be():
    assert unique(["mp-7", "mp-7", "mp-7"]) == ["mp-7", "mp-7#2", "mp-7#3"]
    assert unique(["a", "a", "a#2"]) == ["a", "a#3", "a#2"]  # the last bears this name in the file
    assert unique(["a#2", "a", "a", "a#2"]) == ["a#2", "a", "a#3", "a#2#2"]
    assert unique([]) == []


@given(st.lists(st.sampled_from(["a", "b", "a#2", "a#2#2", "a#3", ""]), max_size=12))
def test_unique_names_are_unique_and_the_first_of_each_stays(given_names):
    found = unique(given_names)
    assert len(set(found)) == len(found) == len(given_names)
    for name in set(given_names):
        assert found[given_names.index(name)] == name
    assert unique(found) == found


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("mp-149", "mp-149"),
        ("00012", "00012"),
        ("agm_1.2", "agm_1.2"),
        ("../../victim/evil", "_.._.._victim_evil"),
        ("/etc/passwd", "_etc_passwd"),
        ("C:\\x", "C__x"),
        (".hidden", "_.hidden"),
        ("..", "_.."),
        ("-rf", "_-rf"),
        ("", "_"),
        ("nul", "_nul"),
        ("COM1.x", "_COM1.x"),
        ("CONTENT", "CONTENT"),
        ("a b\nc", "a_b_c"),
        ("Fe₂O₃", "Fe_O_"),
    ],
)
def test_file_stems(name, stem):
    assert file_stem(name) == stem


def test_long_names_keep_apart():
    first, second = file_stems(["x" * 300 + "1", "x" * 300 + "2"])
    assert first != second
    assert len(first) == len(second) == 100


def test_stems_that_fall_together():
    assert file_stems(["a/b", "a_b", "a?b"]) == ["a_b-2", "a_b", "a_b-3"]
    assert file_stems(["NaCl", "nacl"]) == ["NaCl", "nacl-2"]  # one file on macOS and Windows
    assert file_stems(["a b", "a b-2", "a\tb"]) == ["a_b", "a_b-2", "a_b-3"]


@given(st.lists(names, max_size=8))
def test_a_file_name_stays_in_its_folder(given_names):
    stems = file_stems(given_names)
    assert len({stem.lower() for stem in stems}) == len(given_names)
    for stem in stems:
        assert (Path("/folder") / f"{stem}_NaCl_225.cif").resolve().parent == Path("/folder")
        assert not set(stem) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
        assert stem[0] not in ".-"
        assert len(stem) < 110
    assert file_stems(stems) == stems


@given(names)
def test_values_of_extxyz_are_read_back_by_us_and_by_ase(name):
    (written,) = extxyz_ids([name])
    line = f'Lattice="5 0 0 0 5 0 0 0 5" id={extxyz_value(written)} n=5'
    assert len(line.splitlines()) == 1
    assert dict(key_values(line))["id"] == written
    assert dict(key_values(line))["n"] == "5"
    theirs = key_val_str_to_dict(line)
    assert theirs["n"] == 5
    if isinstance(theirs["id"], str):  # else ASE takes it for a number or a truth value, as 00012
        assert theirs["id"] == written


@given(names)
def test_ids_that_ase_writes_are_read_back(name):
    from ase import Atoms

    (written,) = extxyz_ids([name])
    atoms = Atoms("H", cell=[5, 5, 5], pbc=True)
    atoms.info["id"] = ase_info(written)
    file = io.StringIO()
    write_xyz(file, [atoms])
    lines = file.getvalue().splitlines()
    assert len(lines) == 3
    assert dict(key_values(lines[1]))["id"] == written


def test_only_what_a_line_cannot_hold_is_replaced():
    given_names = ["a=b", "a==", "mp-1", 'a "b"', "it's", "{x}", "a\\b", "a\nb", "a\u2028b", "é", "", "_JSON x"]
    assert extxyz_ids(given_names) == [
        "a=b",
        "a__",
        "mp-1",
        'a "b"',
        "it's",
        "{x}",
        "a\\b",
        "a_b",
        "a_b#2",
        "é",
        "_",
        "_ x",
    ]
