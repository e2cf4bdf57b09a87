"""CIF text: what comes out against pymatgen, what is refused and why."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifParser, CifWriter
from tests.crystallography.prototypes import PROTOTYPES, prototype
from tests.structures.cif_text import cif

from symmcd.structures.cell import Cell
from symmcd.structures.cif import StructureError, atomic_number, parse_cif, split_crystals
from symmcd.structures.convert import from_structure
from symmcd.structures.read import read_rows
from symmcd.structures.write import p1_cif


def rock_salt(symmetry="", sodium="Na+", occupancy="1", z="0.5"):
    sites = f"Na1 {sodium} 0 0 0 {occupancy}\nCl1 Cl- 0.5 0.5 {z} 1"
    return cif("NaCl", (5.64, 5.64, 5.64, 90, 90, 90), symmetry, sites, "occupancy")


def assert_same(found: Cell, expected: Cell, tolerance: float = 1e-4) -> None:
    """Same cell up to a rotation, same atoms in any order; `tolerance` in Å."""
    np.testing.assert_allclose(found.lattice @ found.lattice.T, expected.lattice @ expected.lattice.T, atol=1e-3)
    assert sorted(found.element) == sorted(expected.element)
    difference = found.position[:, None] - expected.position
    difference -= np.rint(difference)
    distance = np.linalg.norm(difference @ expected.lattice, axis=2)
    distance[found.element[:, None] != expected.element] = np.inf
    assert (distance.min(axis=1) < tolerance).all()
    assert (distance.min(axis=0) < tolerance).all()


@pytest.mark.skipif("SYMMCD_MP20" not in os.environ, reason="SYMMCD_MP20 does not name a folder with MP-20")
def test_real_cifs_as_pymatgen_reads_them():
    for row in itertools.islice(read_rows(Path(os.environ["SYMMCD_MP20"]) / "val.csv.gz"), 0, 9000, 150):
        structure = CifParser.from_str(row.cif).parse_structures(primitive=False)[0]
        found = parse_cif(row.cif)
        np.testing.assert_allclose(
            Lattice(found.lattice).parameters, structure.lattice.parameters, atol=1e-5, err_msg=row.material_id
        )
        assert_same(found, from_structure(structure))


@pytest.mark.parametrize("name", PROTOTYPES)
def test_symmetrised_cifs_are_expanded_to_what_pymatgen_wrote(name):
    structure = prototype(name)
    expected = from_structure(structure)
    assert_same(parse_cif(str(CifWriter(structure))), expected)
    symmetrised = str(CifWriter(structure, symprec=0.01, significant_figures=6))
    found = parse_cif(symmetrised)  # in the setting of the CIF, which may be another than that of the prototype
    assert len(found.element) == len(CifParser.from_str(symmetrised).parse_structures(primitive=False)[0])
    assert_same(found, from_structure(CifParser.from_str(symmetrised).parse_structures(primitive=False)[0]), 1e-2)


OPERATIONS_OF_A_NONSTANDARD_SETTING = """loop_
_space_group_symop_operation_xyz
x,y,z
'-X+1/4, -y , z'
"""


def test_operations_outside_every_tabulated_setting_are_applied():
    """gemmi knows no group with a twofold axis through (1/8, 0): the atoms that it makes must not get lost."""
    found = parse_cif(rock_salt(OPERATIONS_OF_A_NONSTANDARD_SETTING))
    assert found.element.tolist() == [11, 11, 17, 17]
    np.testing.assert_allclose(found.position, [[0, 0, 0], [0.25, 0, 0], [0.5, 0.5, 0.5], [0.75, 0.5, 0.5]], atol=1e-12)


@pytest.mark.parametrize(
    "symmetry",
    [
        "_symmetry_space_group_name_H-M 'F m -3 m'",
        "_space_group_name_H-M_alt 'Fm-3m'\n_space_group_IT_number 225",
        "_space_group_name_Hall '-F 4 2 3'",
    ],
)
def test_symbols_stand_in_for_operations(symmetry):
    assert sorted(parse_cif(rock_salt(symmetry)).element) == [11] * 4 + [17] * 4


def test_rounded_special_positions_become_exact():
    """0.333 is not 1/3: taken literally, hcp would have six atoms."""
    hexagonal = (
        str(CifWriter(prototype("NiAs"), symprec=0.01)).replace("0.33333333", "0.333").replace("0.66666667", "0.667")
    )
    assert "0.333 " in hexagonal
    found = parse_cif(hexagonal)
    assert len(found.element) == 4
    thirds = found.position[found.element == 33] * [3, 3, 4]
    np.testing.assert_allclose(thirds, np.rint(thirds), atol=1e-9)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "unparseable"),
        ("not a cif", "unparseable"),
        ("data_a\nloop_\n_atom_site_fract_x\n_atom_site_fract_y\n0.1\n", "unparseable"),
        ("data_a\n_cell_length_a 3\n", "no_atoms"),
        (rock_salt(occupancy="0.5"), "disordered"),
        (rock_salt().replace("0.5 0.5 0.5", "0 0 0.999"), "disordered"),
        (rock_salt(sodium="X"), "unknown_element"),
        (rock_salt(sodium="NH4"), "unknown_element"),
        (rock_salt(sodium="Vac"), "unknown_element"),
        (rock_salt().replace("_a 5.64", "_a nan"), "bad_cell"),
        (rock_salt().replace("_a 5.64", "_a 0"), "bad_cell"),
        (rock_salt().replace("_a 5.64", "_a ?"), "bad_cell"),
        (rock_salt().replace("_cell_length_a 5.64\n", ""), "bad_cell"),
        (rock_salt().replace("gamma 90", "gamma 180"), "bad_cell"),
        (rock_salt().replace("gamma 90", "gamma 0.0001"), "bad_cell"),
        (rock_salt().replace("alpha 90", "alpha 30").replace("beta 90", "beta 150"), "bad_cell"),
        (rock_salt(z="nan"), "bad_position"),
        (rock_salt(z="?"), "bad_position"),
        (rock_salt("_symmetry_space_group_name_H-M 'F q r s'"), "unknown_space_group"),
        (rock_salt("_symmetry_space_group_name_H-M 'F d -3 m'"), "unknown_space_group"),  # which origin?
        (rock_salt("_space_group_IT_number 225"), "unknown_space_group"),
        (rock_salt("loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\nx,y,w\n"), "unparseable"),
        (rock_salt("loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\nx,y,0\n"), "unparseable"),
        (rock_salt() + rock_salt().replace("NaCl", "again"), "several_crystals"),
    ],
)
def test_refused_with_the_right_reason(text, reason):
    with pytest.raises(StructureError) as error:
        parse_cif(text)
    assert error.value.reason == reason
    assert error.value.detail


def test_rock_salt_itself_is_fine():
    assert parse_cif(rock_salt()).element.tolist() == [11, 17]


@pytest.mark.parametrize(
    ("symbol", "number"),
    [
        ("Fe3+", 26),
        ("Fe+3", 26),
        ("O2-", 8),
        ("FE", 26),
        ("D", 1),
        ("T", 1),
        ("Og", 118),
        ("X", 0),
        ("OH", 0),
        ("CO", 0),
        ("Co", 27),
        ("", 0),
    ],
)
def test_elements(symbol, number):
    assert atomic_number(symbol) == number


def test_labels_stand_in_for_symbols_unless_ambiguous():
    unlabelled = rock_salt().replace("_atom_site_type_symbol\n", "").replace("Na+ ", "").replace("Cl- ", "")
    assert parse_cif(unlabelled).element.tolist() == [11, 17]
    assert parse_cif(unlabelled.replace("Na1", "OW1")).element.tolist() == [8, 17]
    with pytest.raises(StructureError, match="CO1"):
        parse_cif(unlabelled.replace("Na1", "CO1"))


def test_blocks_of_a_file_are_told_apart():
    text = "data_global\n_journal none\n" + rock_salt() + rock_salt().replace("NaCl", "second")
    parts = split_crystals(text)
    assert [name for name, _ in parts] == ["NaCl", "second"]
    assert all(parse_cif(part).element.tolist() == [11, 17] for _, part in parts)


@settings(max_examples=60, deadline=None)
@given(
    lengths=arrays(float, 3, elements=st.floats(3, 20)),
    angles=arrays(float, 3, elements=st.floats(65, 115)),
    position=arrays(float, st.tuples(st.integers(1, 6), st.just(3)), elements=st.floats(-1.5, 1.5)),
    elements=st.lists(st.integers(1, 118), min_size=6, max_size=6),
)
def test_written_and_read_is_the_same(lengths, angles, position, elements):
    crystal = Cell(Lattice.from_parameters(*lengths, *angles).matrix, np.array(elements[: len(position)]), position)
    structure = Structure(Lattice(crystal.lattice), crystal.element, crystal.position)
    nearest = structure.distance_matrix[np.triu_indices(len(position), 1)].min(initial=9)
    if nearest < 0.0999:
        with pytest.raises(StructureError, match=r"disordered|redundant"):
            parse_cif(p1_cif("x", crystal))
    elif nearest > 0.1001:
        assert_same(parse_cif(p1_cif("x", crystal)), crystal)
