"""What is written, as other programs read it."""

from __future__ import annotations

import zipfile

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
from symmcd.structures.cif import RawCrystal, parse_cif
from symmcd.structures.convert import from_atoms, from_structure, to_raw
from symmcd.structures.write import cifs, read_extxyz, write_cifs, write_extxyz

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
    for expected, text, group in zip(to_raw(crystals), texts, units.space_group, strict=True):
        found = parse_cif(text)
        assert len(found.element) == len(expected.element), group
        assert_same(found, expected)


def test_every_group_comes_back_from_gemmi(all_groups):
    units, crystals, texts = all_groups
    for expected, text, group in zip(to_raw(crystals), texts, units.space_group, strict=True):
        small = gemmi.make_small_structure_from_block(gemmi.cif.read_string(text).sole_block())
        assert small.spacegroup.number == group
        sites = small.get_all_unit_cell_sites()
        found = RawCrystal(
            np.array(small.cell.orth.mat.tolist()).T,
            np.array([site.element.atomic_number for site in sites]),
            np.array([site.fract.tolist() for site in sites]),
        )
        assert_same(found, expected)


@pytest.mark.parametrize("group", SOME)
def test_pymatgen_and_ase_read_the_same_crystal(all_groups, group, tmp_path):
    _, crystals, texts = all_groups
    expected, text = to_raw(crystals)[group - 1], texts[group - 1]
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
    for i, (a, b, expected) in enumerate(zip(theirs, ours, to_raw(crystals), strict=True)):
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
