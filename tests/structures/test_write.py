"""What is written, as other programs read it."""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
from pathlib import Path

import ase.io
import gemmi
import numpy as np
import pytest
from ase.spacegroup import get_spacegroup
from pymatgen.io.cif import CifParser
from tests.structures.random_units import random_units
from tests.structures.test_cif import assert_same

from symmcd.crystallography.orbit import replicate_flat
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.errors import InputError
from symmcd.structures.cell import Cell, cells_of
from symmcd.structures.cif import parse_cif
from symmcd.structures.convert import from_atoms, from_structure
from symmcd.structures.names import file_stems
from symmcd.structures.read import read_structures
from symmcd.structures.write import cifs, p1_cif, read_extxyz, write_cifs, write_extxyz

SOME = [
    1,
    2,
    5,
    14,
    15,
    43,
    47,
    62,
    70,
    88,
    129,
    141,
    146,
    148,
    155,
    161,
    166,
    167,
    176,
    186,
    194,
    199,
    206,
    220,
    227,
    230,
]


@pytest.fixture(scope="module")
def all_groups():
    units = random_units(list(range(1, 231)))
    return units, replicate_flat(units), [text for _, text in cifs(replicate_flat(units), units)]


def test_every_group_comes_back_from_our_own_reader(all_groups):
    units, crystals, texts = all_groups
    for expected, text, group in zip(cells_of(crystals), texts, units.space_group, strict=True):
        found = parse_cif(text)
        assert len(found.element) == len(expected.element), group
        assert_same(found, expected)


def test_every_group_comes_back_from_gemmi(all_groups):
    units, crystals, texts = all_groups
    for expected, text, group in zip(cells_of(crystals), texts, units.space_group, strict=True):
        small = gemmi.make_small_structure_from_block(gemmi.cif.read_string(text).sole_block())
        assert small.spacegroup.number == group
        sites = small.get_all_unit_cell_sites()
        found = Cell(
            np.array(small.cell.orth.mat.tolist()).T,
            np.array([site.element.atomic_number for site in sites]),
            np.array([site.fract.tolist() for site in sites]),
        )
        assert_same(found, expected)


@pytest.mark.parametrize("group", SOME)
def test_pymatgen_and_ase_read_the_same_crystal(all_groups, group, tmp_path):
    _, crystals, texts = all_groups
    expected, text = cells_of(crystals)[group - 1], texts[group - 1]
    parser = CifParser.from_str(text)
    assert_same(from_structure(parser.parse_structures(primitive=False)[0]), expected)
    assert not parser.warnings
    path = tmp_path / "a.cif"
    path.write_text(text)
    atoms = ase.io.read(path)
    assert_same(from_atoms(atoms), expected)
    assert atoms.info["spacegroup"].no == group
    assert get_spacegroup(atoms, symprec=1e-3).no >= 1


def test_cif_names_positions_and_multiplicities(all_groups):
    units, _, texts = all_groups
    table = wyckoff_table()
    block = gemmi.cif.read_string(texts[226]).sole_block()
    rows = units.wyckoff[units.start[226] : units.start[227]]
    assert list(block.find_values("_atom_site_Wyckoff_symbol")) == table.letter[rows].tolist() == ["a", "i"]
    assert list(map(int, block.find_values("_atom_site_symmetry_multiplicity"))) == table.multiplicity[rows].tolist()
    assert block.find_value("_space_group_IT_number") == "227"
    assert "F d -3 m" in (
        gemmi.find_spacegroup_by_name(block.find_value("_symmetry_space_group_name_H-M").strip("'")).hm
    )


def test_zip_and_folder_hold_the_same(tmp_path):
    units = random_units([14, 225])
    crystals = replicate_flat(units)
    write_cifs(tmp_path / "one.zip", crystals, units)
    write_cifs(tmp_path / "two.zip", crystals, units)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    write_cifs(tmp_path / "cif", replicate_flat(random_units([1])), random_units([1]))
    write_cifs(tmp_path / "cif", crystals, units)
    files = {path.name: path.read_text() for path in (tmp_path / "cif").iterdir()}
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert files == {name: archive.read(name).decode() for name in archive.namelist()}
    assert len(files) == 2


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"thesis\.tex"):
        write_cifs(tmp_path, replicate_flat(random_units([1])), random_units([1]))
    assert (tmp_path / "thesis.tex").exists()


def test_extxyz_is_the_same_to_ase_and_to_us(tmp_path):
    units = random_units([2, 14, 166, 194, 225])
    crystals = replicate_flat(units)
    path = tmp_path / "a.extxyz"
    write_extxyz(path, crystals, units)
    theirs, ours = ase.io.read(path, index=":"), read_extxyz(path)
    assert [frame.info["id"] for frame in ours] == units.label.tolist() == [f"0000{i}" for i in range(5)]
    letter = wyckoff_table().letter
    for i, (a, b, expected) in enumerate(zip(theirs, ours, cells_of(crystals), strict=True)):
        assert a == b
        assert_same(from_atoms(b), expected, 1e-6)
        assert b.info["space_group"] == units.space_group[i]
        orbit = units.start[i] + b.arrays["orbit"]
        np.testing.assert_array_equal(orbit, crystals.orbit[crystals.start[i] : crystals.start[i + 1]])
        np.testing.assert_array_equal(b.arrays["wyckoff"], letter[units.wyckoff[orbit]])
        np.testing.assert_array_equal(b.numbers, units.element[orbit])
        np.testing.assert_array_equal(a.arrays["wyckoff"], b.arrays["wyckoff"])


def test_unreadable_extxyz_says_what_to_do(tmp_path):
    path = tmp_path / "a.extxyz"
    with pytest.raises(InputError, match="run the stage"):
        read_extxyz(path)
    path.write_text("")
    assert read_extxyz(path) == []
    units = random_units([225])
    write_extxyz(path, replicate_flat(units), units)
    whole = path.read_text()
    path.write_text("\n".join(whole.splitlines()[:-3]))
    with pytest.raises(InputError, match="not a readable extxyz"):
        read_extxyz(path)
    path.write_text(whole.replace('id="00000"', ""))
    with pytest.raises(InputError, match="id"):
        read_extxyz(path)


def test_where_nothing_can_be_written(tmp_path):
    """Root may write anywhere, so the parent of the target is a file."""
    (tmp_path / "file").touch()
    units = random_units([225])
    for write, target in ((write_cifs, "cif"), (write_cifs, "a.zip"), (write_extxyz, "a.extxyz")):
        with pytest.raises(InputError, match="choose another folder"):
            write(tmp_path / "file" / target, replicate_flat(units), units)


def labelled(*labels: str):
    units = random_units([225, 14, 2, 166][: len(labels)])
    return dataclasses.replace(units, label=np.array(labels))


LABELS = (
    ("../../victim/evil", "a/b", "a_b", ".hidden"),
    ('a "b" c', "a\nb", "it's {x}", "back\\slash"),
    ("mp-7", "mp-7", "mp-7", "MP-7"),
    ("=1+1", "-1", "@x", "nul"),
    ("id=5", "a b", "x" * 300, "é"),
    ("", " ", "\t", "\x85"),
)


@pytest.mark.parametrize("labels", LABELS)
def test_labels_of_any_kind_in_cifs(tmp_path, labels, capsys):
    units = labelled(*labels)
    crystals = replicate_flat(units)
    write_cifs(tmp_path / "a" / "cif", crystals, units)
    write_cifs(tmp_path / "a" / "cif.zip", crystals, units)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["cif", "cif.zip"]
    files = sorted((tmp_path / "a" / "cif").iterdir())
    assert len({path.name.lower() for path in files}) == 4
    with zipfile.ZipFile(tmp_path / "a" / "cif.zip") as archive:
        assert sorted(archive.namelist()) == [path.name for path in files]
    said = capsys.readouterr().out
    found = []
    for path in files:
        text = path.read_text(encoding="ascii")
        comment = text.splitlines()[0]
        block = gemmi.cif.read_string(text).sole_block().name
        assert " " not in block
        assert path.name.startswith(block)
        label = json.loads(comment.removeprefix("# id ")) if comment.startswith("# id ") else block.rpartition("_")[0]
        found.append(label)
    assert sorted(found) == sorted(labels)  # each id is found again in its file
    assert said.count("cannot be used unchanged") == 2 * (
        file_stems(labels) != list(labels)
    )  # once a folder or archive
    for place in ("cif", "cif.zip"):
        assert len(read_structures(tmp_path / "a" / place)) == 4


@pytest.mark.parametrize("labels", LABELS)
def test_labels_of_any_kind_in_extxyz(tmp_path, labels):
    units = labelled(*labels)
    crystals = replicate_flat(units)
    path = tmp_path / "a.extxyz"
    write_extxyz(path, crystals, units)
    ids = [frame.info["id"] for frame in read_extxyz(path)]
    assert [name for name, _ in read_structures(path)] == ids
    for label, name in zip(labels, ids, strict=True):
        if label.isprintable() and label and labels.count(label) == 1:
            assert name == label
    assert len(set(ids)) == 4
    theirs = ase.io.read(path, index=":")
    assert len(theirs) == 4
    for frame, name in zip(theirs, ids, strict=True):
        assert not isinstance(frame.info["id"], str) or frame.info["id"] == name
    assert [frame.info["space_group"] for frame in theirs] == units.space_group.tolist()


def test_the_block_of_a_p1_cif_has_no_blanks():
    crystal = cells_of(replicate_flat(random_units([2])))[0]
    for name in ("a b", "a\nloop_", "", "x/y"):
        assert_same(parse_cif(p1_cif(name, crystal)), crystal)
        assert len(p1_cif(name, crystal).splitlines()[0].split()) == 1


def killed_at(rename: int, monkeypatch) -> None:
    """From now on the process seems to end at this rename of a folder, with no clean-up."""
    real, calls = Path.rename, []

    def ends(self, target):
        calls.append(self)
        if len(calls) == rename:
            os._exit(9)
        return real(self, target)

    monkeypatch.setattr(Path, "rename", ends)


@pytest.mark.parametrize("rename", [1, 2])
def test_a_folder_of_cifs_outlives_a_kill(tmp_path, monkeypatch, rename):
    old, new = labelled("old"), labelled("new")
    write_cifs(tmp_path / "cif", replicate_flat(old), old)
    child = os.fork()
    if not child:
        killed_at(rename, monkeypatch)
        write_cifs(tmp_path / "cif", replicate_flat(new), new)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    kept = list(tmp_path.rglob("old_*.cif"))
    assert len(kept) == 1
    write_cifs(tmp_path / "cif", replicate_flat(new), new)
    assert [path.name for path in tmp_path.iterdir()] == ["cif"]
    assert [path.name for path in (tmp_path / "cif").iterdir()] == ["new_BaO48_225.cif"]


def test_a_folder_of_cifs_stays_where_the_new_one_cannot_be_put(tmp_path, monkeypatch):
    old, new = labelled("old"), labelled("new")
    write_cifs(tmp_path / "cif", replicate_flat(old), old)
    real = Path.rename

    def refuses(self, target):
        if ".tmp." in self.name:
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", refuses)
    with pytest.raises(InputError, match="cif: disk full"):
        write_cifs(tmp_path / "cif", replicate_flat(new), new)
    assert [path.name for path in (tmp_path / "cif").iterdir()] == ["old_BaO48_225.cif"]


def test_what_macos_puts_into_a_folder_of_cifs_does_not_keep_us_from_replacing_it(tmp_path):
    units = labelled("a")
    write_cifs(tmp_path / "cif", replicate_flat(units), units)
    (tmp_path / "cif" / ".DS_Store").touch()
    write_cifs(tmp_path / "cif", replicate_flat(units), units)
    assert len(list((tmp_path / "cif").iterdir())) == 1
