"""The public names of Python and the commands: the same words for the same things, and the same crystals."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import symmcd
from symmcd import cli
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.diffusion.generator import Generator
from symmcd.extensions import CONSTRAINTS
from symmcd.storage import read_units, write_units
from tests.crystallography.prototypes import prototype

# command -> Python functions whose parameters are its words
FUNCTIONS = {
    "generate": (symmcd.generate, Generator.generate),
    "predict": (symmcd.predict, Generator.predict, symmcd.rank),
    "evaluate": (symmcd.evaluate,),
}
OF_FILES = {
    "help",
    "output",
    "overwrite",
    "debug",
    "config",
    "set",
    "formula",
    "relax",
    "relax_settings",
    "judge",
}  # formula: `formula_unit` of Generator.predict; relax: symmcd.rank; the last two: in `relax` and `judges` of evaluate


@pytest.mark.parametrize("command", FUNCTIONS)
def test_options_are_called_as_parameters(command):
    parameters = {name for function in FUNCTIONS[command] for name in inspect.signature(function).parameters}
    parameters |= set(CONSTRAINTS) if "constraints" in parameters else set()
    _, parser = cli.command_of(command)
    asked = {action.dest for action in parser._actions if action.default != "==SUPPRESS=="} - OF_FILES
    assert asked <= parameters


@pytest.mark.parametrize("command", FUNCTIONS)
def test_defaults_are_the_same(command):
    _, parser = cli.command_of(command)
    for function in FUNCTIONS[command]:
        given = inspect.signature(function).parameters
        for name in {"number", "device", "seed", "workers", "temperature", "steps", "proposals"} & set(given):
            assert parser.get_default(name) == given[name].default


def test_python_and_the_command_line_make_the_same_crystals(tmp_path):
    words = ["--number", "3", "--seed", "5", "--device", "cpu", "--steps", "2", "--proposals", "1"]
    words += ["--space-group", "Pnma", "--max-atoms", "12", "--output", str(tmp_path)]
    assert cli.main(["generate", *words]) == 0
    read = read_units(tmp_path / "units.npz")
    options = {"seed": 5, "device": "cpu", "steps": 2, "proposals": 1, "space_group": 62, "max_atoms": 12}
    for ours, theirs in zip(symmcd.generate(3, **options), read, strict=True):
        assert ours.space_group == theirs.space_group == 62
        assert ours.letter == theirs.letter
        assert np.allclose(ours.position, theirs.position, atol=1e-5)


def test_elements_and_groups_by_number_or_symbol(tmp_path):
    words = ["generate", "--number", "2", "--device", "cpu", "--steps", "1", "--proposals", "1"]
    made = []
    for name, more in (("symbols", ["Pm-3m", "Sr,Ti,O"]), ("numbers", ["221", "38,22,8"])):
        given = ["--space-group", more[0], "--elements", more[1], "--output", str(tmp_path / name)]
        assert cli.main([*words, *given]) == 0
        made.append((tmp_path / name / "crystals.csv").read_bytes())
    assert made[0] == made[1]
    options = {"device": "cpu", "steps": 1, "proposals": 1}
    python = [
        symmcd.generate(2, space_group=group, elements=elements, **options)
        for group, elements in ((221, ["Sr", "Ti", "O"]), ("Pm-3m", [38, 22, 8]), ("221", "38,Ti,8"))
    ]
    assert [[u.letter for u in units] for units in python] == [[u.letter for u in python[0]]] * 3
    assert {u.space_group for units in python for u in units} == {221}


def test_a_composition_by_name_or_number():
    options = {"number": 2, "device": "cpu", "steps": 1, "proposals": 1, "atoms": 6}
    found = [symmcd.predict(formula, **options) for formula in ("TiO2", {"Ti": 1, "O": 2}, {22: 1, 8: 2})]
    assert len({tuple(c.log_probability for c in candidates) for candidates in found}) == 1


def test_crystals_are_relaxed_as_by_the_command(tmp_path):
    """From exact units alike to the last digit; symmetry found in a structure is that of the unit."""
    units = AsymmetricUnits.from_units([symmcd.reduce(prototype(name)) for name in ("NaCl", "CsCl")], ["0", "1"])
    write_units(tmp_path / "units.npz", units)
    words = [str(tmp_path / "units.npz"), "--output", str(tmp_path / "a.csv"), "--device", "cpu"]
    words += [
        "--output-crystals",
        str(tmp_path / "a.extxyz"),
        "--set",
        "relax.steps=3",
        "--set",
        "relax.method=symmetry",
    ]
    assert cli.main(["relax", *words]) == 0
    table = pd.read_csv(tmp_path / "a.csv")
    options = {"device": "cpu", "steps": 3, "method": "symmetry"}
    given = {
        "path": tmp_path / "units.npz", "units": units, "list": [units[0], units[1]],
        "structures": {"a": symmcd.replicate(units[0]), "b": symmcd.replicate(units[1])},
    }  # fmt: skip
    for kind, crystals in given.items():
        found = symmcd.relax(crystals, **options)
        assert [r.status for r in found] == table["status"].tolist(), kind
        assert [r.formula for r in found] == table["formula"].tolist(), kind
        assert np.allclose([r.energy_relaxed for r in found], table["energy_relaxed"], atol=2e-6), kind


@pytest.mark.parametrize(
    ("options", "said"),
    [({"number": 3}, "all crystals that are given are relaxed"), ({"stepz": 3}, "did you mean 'steps'")],
)
def test_settings_of_a_relaxation_are_checked_before_anything(options, said):
    with pytest.raises(symmcd.InputError, match=said):
        symmcd.relax([], **options)


@pytest.mark.parametrize("crystals", [3, ["NaCl"], {"a": None}, Path("nowhere.npz")])
def test_what_is_no_crystal_is_not_relaxed(crystals):
    with pytest.raises(symmcd.InputError, match="expected"):
        symmcd.relax(crystals)


def test_sets_to_compare_with_are_given_as_files_too(tmp_path):
    units = AsymmetricUnits.from_units([symmcd.reduce(prototype(name)) for name in ("NaCl", "CdI2", "CrB")])
    write_units(tmp_path / "test.npz", units)
    tables = [symmcd.evaluate(units, reference, workers=1).summary for reference in (units, tmp_path / "test.npz")]
    assert tables[0].equals(tables[1])
