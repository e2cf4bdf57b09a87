"""The door to spglib: bad questions are refused here, or spglib crashes or hangs; good ones get its answers."""

from __future__ import annotations

import ast
import dataclasses
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import spglib
from tests.crystallography.prototypes import PROTOTYPES, prototype

import symmcd
from symmcd.errors import InputError
from symmcd.structures.cell import Cell
from symmcd.structures.checks import MOST_ATOMS
from symmcd.structures.convert import from_structure
from symmcd.structures.symmetry_search import (
    SymmetryError,
    check_symprec,
    conventional_cell,
    find_symmetry,
    primitive_cell,
    space_group_number,
    with_orbits,
)

SOURCE = Path(symmcd.__file__).parent
SALT = Cell(5.64 * np.eye(3), np.array([55, 17]), np.array([[0, 0, 0], [0.5, 0.5, 0.5]]))
OVERLAPPING = Cell(4 * np.eye(3), np.array([11, 11]), np.array([[0, 0, 0], [0.001, 0, 0]]))
FUNCTIONS = (find_symmetry, space_group_number, with_orbits, conventional_cell, primitive_cell)


def test_there_is_no_other_door():
    importers = set()
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] in ("spglib", "moyopy", "pyxtal") for name in names):
                importers.add(file.relative_to(SOURCE).as_posix())
    # PyXtal makes crystals there; it is not asked for symmetry
    assert importers == {"structures/symmetry_search.py", "diffusion/pyxtal_model.py"}


@pytest.mark.parametrize("name", sorted(PROTOTYPES))
def test_answers_are_spglibs(name):
    structure = prototype(name)
    ours = from_structure(structure)
    cell = (structure.lattice.matrix, structure.frac_coords, structure.atomic_numbers)
    found, expected = find_symmetry(ours, 0.1), spglib.get_symmetry_dataset(cell, symprec=0.1)
    assert (found.number, found.hall_number) == (expected.number, expected.hall_number)
    assert np.array_equal(found.std_positions, expected.std_positions)
    assert space_group_number(ours, 0.1) == expected.number
    assert np.array_equal(with_orbits(ours, 0.1).orbit, expected.equivalent_atoms)
    for function, primitive in ((conventional_cell, False), (primitive_cell, True)):
        theirs = spglib.standardize_cell(cell, to_primitive=primitive, no_idealize=True, symprec=0.1)
        made = function(ours, 0.1)
        for a, b in zip((made.lattice, made.position, made.element), theirs, strict=True):
            assert np.array_equal(a, b)


def test_overlapping_atoms_have_no_symmetry():
    """One refusal, and four answers that say that there is none."""
    with pytest.raises(SymmetryError, match="no_symmetry_found"):
        find_symmetry(OVERLAPPING, 0.1)
    assert space_group_number(OVERLAPPING, 0.1) is None
    assert with_orbits(OVERLAPPING, 0.1).orbit.tolist() == [0, 1]
    assert conventional_cell(OVERLAPPING, 0.1) is primitive_cell(OVERLAPPING, 0.1) is OVERLAPPING


def test_no_atom_is_merged_away(monkeypatch):
    """Another cell of the same crystal has the same formula; spglib may take two atoms for one."""
    monkeypatch.setattr(spglib, "standardize_cell", lambda *_, **__: (SALT.lattice, SALT.position[:1], np.array([55])))
    assert primitive_cell(SALT, 0.1) is SALT
    assert conventional_cell(SALT, 0.1) is SALT


@pytest.mark.parametrize("symprec", [0, 0.0, -0.0, -1, np.nan, np.inf, -np.inf, "0.1", None, True, [0.1]])
def test_what_is_no_tolerance(symprec):
    with pytest.raises(InputError, match="expected a tolerance in Å"):
        check_symprec(symprec)
    with pytest.raises(InputError, match="expected a tolerance in Å"):
        symmcd.reduce(prototype("NaCl"), symprec)
    for function in FUNCTIONS:
        with pytest.raises(InputError, match="expected a tolerance in Å"):
            function(SALT, symprec)


@pytest.mark.parametrize("symprec", [1e-5, 1, np.float32(0.1), np.float64(0.1), Fraction(1, 10)])
def test_tolerances(symprec):
    assert find_symmetry(SALT, symprec).number == 221


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_number_reaches_spglib_that_is_none(function, value, monkeypatch):
    for name in ("get_symmetry_dataset", "standardize_cell"):
        monkeypatch.setattr(spglib, name, lambda *_, **__: pytest.fail("spglib was asked"))
    for array, reason in (("lattice", "bad_cell"), ("position", "bad_position")):
        for index in np.ndindex(getattr(SALT, array).shape):
            values = getattr(SALT, array).copy()
            values[index] = value
            cell = dataclasses.replace(SALT, **{array: values})
            with np.errstate(all="ignore"):
                if function is find_symmetry:
                    with pytest.raises(SymmetryError) as error:
                        function(cell, 0.1)
                    assert error.value.reason == reason
                else:
                    function(cell, 0.1)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ((np.eye(3), np.zeros((0, 3)), []), "no_atoms"),
        ((np.zeros((3, 3)), np.zeros((1, 3)), [1]), "bad_cell"),
        ((np.eye(2), np.zeros((1, 3)), [1]), "bad_cell"),
        ((np.eye(3), np.zeros((2, 3)), [1]), "bad_position"),
        ((np.eye(3), np.zeros((1, 2)), [1]), "bad_position"),
        (
            (np.eye(3), np.zeros((MOST_ATOMS + 1, 3)), [1] * (MOST_ATOMS + 1)),
            "too_large",
        ),
    ],
)
def test_arrays_that_are_no_crystal(cell, reason):
    with pytest.raises(SymmetryError) as error:
        find_symmetry(Cell(cell[0], np.array(cell[2]), cell[1]), 0.1)
    assert error.value.reason == reason


@pytest.mark.parametrize(
    "code",
    [
        "symmcd.reduce(Structure(L, ['Na'], [[nan, 0, 0]]))",
        "symmcd.reduce(Structure(L, ['Na', 'Cl'], [[0, 0, 0], [0, inf, 0]]))",
        "symmcd.reduce(Structure(Lattice([[4, 0, 0], [0, nan, 0], [0, 0, 4]]), ['Na'], [[0, 0, 0]]))",
        "symmcd.reduce(Structure(Lattice([[4, 0, 0], [0, inf, 0], [0, 0, 4]]), ['Na'], [[0, 0, 0]]))",
        "symmcd.reduce(Structure(L, ['Na'], [[0, 0, 0]]), symprec=0)",
        "symmcd.reduce(Structure(L, ['Na'], [[0, 0, 0]]), symprec=-1)",
        "symmcd.reduce(Structure(L, ['Na'], [[0, 0, 0]]), symprec=nan)",
        "standard_cell(Cell(4 * np.eye(3), np.array([11]), np.array([[nan, 0, 0]])), 0.1)",
        "detected_group(Structure(L, ['Na'], [[0, 0, 0]]), 0)",
    ],
)
def test_the_process_outlives_its_crystals(code):
    """In a process of its own, whose end by a signal or a time limit is a failure of one test."""
    imports = (
        "import numpy as np, symmcd; from numpy import inf, nan; from pymatgen.core import Lattice, Structure; "
        "from symmcd.structures.standard_cell import standard_cell; from symmcd.structures.cell import Cell; "
        "from symmcd.metrics.found_symmetry import detected_group; "
        "L = Lattice.cubic(4)"
    )
    script = f"{imports}\ntry:\n    {code}\nexcept symmcd.InputError as error:\n    print('refused:', error)"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout.startswith("refused:")) == (0, True), ended.stderr


def test_where_no_answer_is_an_answer():
    """Metrics and relaxation go on without a symmetry; they never hand a broken crystal to spglib."""
    from pymatgen.core import Lattice, Structure

    from symmcd.metrics.found_symmetry import detect
    from symmcd.stability.geometry import primitive_cell as reduced_cell
    from symmcd.structures.convert import elements_of_structure

    nowhere = Structure(Lattice.cubic(4), ["Na", "Cl"], [[np.nan, 0, 0], [0.5, 0.5, 0.5]])
    assert detect(nowhere, 0.1) is None
    cell = elements_of_structure(nowhere)
    assert space_group_number(cell, 0.1) is None
    assert with_orbits(cell, 0.1).orbit.tolist() == [0, 1]
    assert len(reduced_cell(nowhere)) == 2
