"""Constraints in Python and on the command line, those that ship and one of a user's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from symmcd import InputError, cli, load_pretrained
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.space_group import lattice_points
from symmcd.diffusion.constraints.constraint import read_constraints, space_groups_of
from symmcd.diffusion.constraints.space_group import SpaceGroup
from symmcd.extensions import CONSTRAINTS, ConstraintKind
from symmcd.storage import read_units
from tests.diffusion import distinct_elements
from tests.diffusion.distinct_elements import DISTINCT_ELEMENTS

FEW = {"steps": 1, "proposals": 1}


@pytest.fixture(scope="module")
def shipped():
    return load_pretrained(device="cpu")


@pytest.fixture
def distinct():
    CONSTRAINTS.add("distinct_elements", DISTINCT_ELEMENTS)
    yield
    CONSTRAINTS.remove("distinct_elements")


@pytest.mark.parametrize(
    "alike",
    [
        [{"elements": value} for value in ("O,Li,Fe", "8, 3 26", ["Fe", 8, "Li", "O"], np.array([3, 8, 26]))],
        [{"exclude": value} for value in ("O,F", (9, "O"), "9,8")],
        [{"chemical_system": value} for value in ("Li-Fe-O", "8-3-26", ["O", "Fe", 3])],
        [{"space_group": value} for value in ("Pnma", 62, "62", np.int64(62))],
        [{"max_atoms": value} for value in (8, "8", np.int16(8))],
        [{}, {"elements": None, "exclude": (), "chemical_system": [], "max_atoms": None, "space_group": None}],
    ],
)
def test_elements_and_groups_by_name_or_number(alike):
    first, *others = map(read_constraints, alike)
    assert all(other == first for other in others)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"element": "Fe"}, "no constraint named 'element'; did you mean 'elements'"),
        ({"elements": "Fe,Xx"}, "elements: 'Xx': no such element"),
        ({"elements": 26}, "elements: elements 26: expected symbols or atomic numbers"),
        ({"max_atoms": 0}, "max_atoms: 0: expected a whole number, at least 1"),
        ({"max_atoms": 2.5}, "max_atoms: 2.5: expected a whole number"),
        ({"space_group": "P7"}, "space_group: space group 'P7'"),
    ],
)
def test_what_is_no_constraint_is_refused(given, message):
    with pytest.raises(InputError) as refused:
        read_constraints(given)
    assert message in str(refused.value)


def test_groups_are_those_that_all_constraints_agree_to():
    assert space_groups_of([SpaceGroup((62,)), SpaceGroup((14, 62))]) == (62,)
    with pytest.raises(InputError, match="no space group satisfies space group 62 and space group 225"):
        space_groups_of([SpaceGroup((62,)), SpaceGroup((225,))])


def test_constraints_hold_together(shipped):
    asked = {"elements": "Ti,O,Fe", "exclude": ["Fe"], "max_atoms": 6, "space_group": "P4_2/mnm"}
    units = AsymmetricUnits.from_units(shipped.generate(15, **asked, **FEW))
    assert set(units.element) <= {8, 22}
    assert set(units.space_group) == {136}
    assert max(unit.number_of_atoms // lattice_points(unit.space_group) for unit in units) <= 6


def test_a_constraint_of_a_users_own(shipped, distinct, tmp_path, capsys):
    """One file and one line: in Python, on the command line, in its help, beside the others."""
    units = shipped.generate(30, distinct_elements=True, seed=1, **FEW)
    assert all(len(set(unit.element.tolist())) == len(unit.element) for unit in units)
    assert max(len(unit.element) for unit in units) > 2
    free = shipped.generate(30, distinct_elements=False, seed=1, **FEW)
    assert any(len(set(unit.element.tolist())) < len(unit.element) for unit in free)

    words = ["generate", "--number", "20", "--device", "cpu", "--steps", "1", "--proposals", "1"]
    asked = ["--distinct-elements", "--chemical-system", "Li-Fe-O", "--output", str(tmp_path)]
    assert cli.main([*words, *asked]) == 0
    for unit in read_units(tmp_path / "units.npz"):
        assert sorted(unit.element.tolist()) == [3, 8, 26]
    with pytest.raises(SystemExit):
        cli.main(["generate", "--help"])
    assert "--distinct-elements" in capsys.readouterr().out


def test_a_constraint_of_an_installed_package(tmp_path):
    """Its entry point is all that symmcd knows of it."""
    shutil.copy(distinct_elements.__file__, tmp_path / "elsewhere.py")
    information = tmp_path / "elsewhere-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
    entry = "[symmcd.constraints]\ndistinct_elements = elsewhere:DISTINCT_ELEMENTS\n"
    (information / "entry_points.txt").write_text(entry)
    words = ["generate", "--distinct-elements", "--number", "8", "--device", "cpu", "--steps", "1", "--proposals", "1"]
    path = os.pathsep.join([str(tmp_path), *sys.path])
    subprocess.run(
        [sys.executable, "-m", "symmcd", *words, "--output", str(tmp_path / "out")],
        env=os.environ | {"PYTHONPATH": path},
        check=True,
        capture_output=True,
    )
    for unit in read_units(tmp_path / "out" / "units.npz"):
        assert len(set(unit.element.tolist())) == len(unit.element)


def test_what_no_crystal_fulfils_is_said_in_the_words_of_the_constraints(shipped, distinct, monkeypatch):
    monkeypatch.setattr("symmcd.diffusion.drafting.ATTEMPTS", 1)
    said = r"has space group 14 and no other elements than O and a different element on each orbit and 2 orbits"
    with pytest.raises(InputError, match=said):
        shipped.generate(5, elements="O", distinct_elements=True, space_group=14, orbits=2, **FEW)
    with pytest.raises(InputError, match="no crystal can have space group 14 and at most 1 atoms in its primitive"):
        shipped.generate(5, space_group=14, max_atoms=1, **FEW)


def test_a_reader_of_a_package_may_say_what_int_says_and_gives_a_constraint():
    CONSTRAINTS.add("whole", ConstraintKind("a whole number", int, "N"))
    try:
        with pytest.raises(InputError, match=r"--whole: 'two' cannot be read \(invalid literal for int"):
            read_constraints({"whole": "two"}, options=True)
        with pytest.raises(InputError, match="whole: the reader of this constraint gave int, expected a Constraint"):
            read_constraints({"whole": "2"})
    finally:
        CONSTRAINTS.remove("whole")
