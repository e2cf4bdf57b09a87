"""The 230 groups: operations against spglib's and moyopy's databases, codes against ASE's, and the laws of a group."""

from __future__ import annotations

import re

import ase.spacegroup
import gemmi
import moyopy
import numpy as np
import pytest
import spglib
from pymatgen.symmetry.groups import SpaceGroup as PymatgenGroup
from tools.symmetry_elements import space_group_code

from symmcd.crystallography.space_group import (
    AXES,
    ELEMENTS,
    LATTICE_LETTERS,
    check_number,
    crystal_family,
    format_triplet,
    number_of,
    operations,
    parse_triplet,
    screw_symbol,
    space_group_codes,
    symbol,
    triplets,
)
from symmcd.errors import InputError
from symmcd.report.typesetting import symbol_text
from symmcd.structures.standard_cell import standard_hall_numbers

NUMBERS = range(1, 231)


def as_set(rotations: np.ndarray, translations: np.ndarray) -> set[tuple[int, ...]]:
    """Operations as hashable integers, translations in 24ths."""
    shifts = np.rint(np.asarray(translations) * 24).astype(int) % 24
    return {
        tuple(w.ravel().tolist()) + tuple(t.tolist())
        for w, t in zip(np.rint(rotations).astype(int), shifts, strict=True)
    }


def ours(number: int) -> set[tuple[int, ...]]:
    return as_set(operations(number)[:, :, :3], operations(number)[:, :, 3])


@pytest.mark.parametrize("number", NUMBERS)
def test_operations_are_spglibs(number: int) -> None:
    database = spglib.get_symmetry_from_database(standard_hall_numbers()[number - 1])
    assert ours(number) == as_set(database["rotations"], database["translations"])


@pytest.mark.parametrize("number", NUMBERS)
def test_operations_are_moyopys(number: int) -> None:
    database = moyopy.operations_from_number(number, setting=moyopy.Setting.standard())
    assert ours(number) == as_set(np.array(database.rotations), np.array(database.translations))


@pytest.mark.parametrize("number", [1, 15, 62, 122, 148, 167, 186, 203, 205, 227, 230])
def test_operations_form_a_group(number: int) -> None:
    group = operations(number)
    product = np.einsum("aij,bjk->abik", group[:, :, :3], group)
    product[..., 3] += group[:, None, :, 3]
    product = product.reshape(-1, 3, 4)
    assert as_set(product[:, :, :3], product[:, :, 3]) == ours(number)
    assert np.array_equal(group[0], np.eye(3, 4))


def test_codes_tell_all_groups_apart() -> None:
    codes = space_group_codes()
    assert codes.shape == (230, 15 * 26 + 7)
    assert len(np.unique(codes, axis=0)) == 230
    assert (codes[:, -7:].sum(axis=1) == 1).all()


TWO_ORIGINS = (
    48, 50, 59, 68, 70, 85, 86, 88, 125, 126, 129, 130, 133, 134, 137, 138, 141, 142, 201, 203, 222, 224, 227, 228,
)  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS)
def test_codes_are_those_of_ases_operations(number: int) -> None:
    """ASE lists representative operations as International Tables do; spglib, moyopy and gemmi take others of some."""
    setting = 2 if number in TWO_ORIGINS else 1
    listed = ase.spacegroup.Spacegroup(number, setting=setting).get_symop()
    code = space_group_code(np.array([np.column_stack(operation) for operation in listed]))
    assert np.array_equal(space_group_codes()[number - 1, :-7], code.ravel())
    assert LATTICE_LETTERS[int(space_group_codes()[number - 1, -7:].argmax())] == symbol(number)[0]


DIRECTIONS = {
    "monoclinic": ["010"],
    "orthorhombic": ["100", "010", "001"],
    "tetragonal": ["001", "100", "1-10"],
    "hexagonal": ["001", "100", "1-10"],
    "cubic": ["001", "111", "1-10"],
}
ANOTHER_REPRESENTATIVE = {
    39, 41, 64, 67, 68,  # e, a double glide; one of its two is listed
    74, 109, 110, 122,  # b, n, b and 2_1 are listed, with the centring they are a, m, c and 2
    100, 104, 106, 108, 113, 114, 125, 126, 127, 128, 133, 134, 135, 140, 219, 226, 228,  # g or n, beside m or c
}  # fmt: skip


def test_codes_have_the_elements_of_the_symbol() -> None:
    """Hermann–Mauguin: one word a direction, such as m, 4_2/m, -3; in 204 of 230 groups the code has them all."""
    codes = space_group_codes()[:, : 15 * 26].reshape(230, 15, 26).astype(bool)
    axes = ["".join(map(str, axis)) for axis in AXES.tolist()]
    without = set()
    for number in range(3, 231):
        words = re.findall(r"(?:-\d|\d_\d|\d|[a-z])(?:/[a-z])?", screw_symbol(number)[1:])
        for word, direction in zip(words, DIRECTIONS[crystal_family(number)], strict=False):
            here = np.array(ELEMENTS)[codes[number - 1, axes.index(direction)]]
            if not set(word.split("/")) <= set(here.tolist()):
                without.add(number)
    assert without == ANOTHER_REPRESENTATIVE


def test_screw_sense_of_an_enantiomorphic_pair() -> None:
    """P3_1 turns right-handed by a third, P3_2 by two thirds."""
    elements = space_group_codes()[:, : 15 * 26].reshape(230, 15, 26)
    along_c = {
        number: [ELEMENTS[i] for i in np.flatnonzero(elements[number - 1, 0])]
        for number in (144, 145, 169, 170, 76, 78)
    }
    assert along_c == {
        144: ["1", "3_1"], 145: ["1", "3_2"],
        169: ["1", "2_1", "3_1", "6_1"], 170: ["1", "2_1", "3_2", "6_5"],
        76: ["1", "2_1", "4_1"], 78: ["1", "2_1", "4_3"],
    }  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS)
def test_family_and_symbol_are_pymatgens(number: int) -> None:
    group = PymatgenGroup.from_int_number(number)
    system = {"trigonal": "hexagonal"}.get(group.crystal_system, group.crystal_system)
    assert crystal_family(number) == system
    assert symbol(number)[0] == group.symbol[0]
    assert len(operations(number)) == len(group.symmetry_ops)


def test_axes_are_primitive_and_distinct() -> None:
    assert len(AXES) == 15
    for i, axis in enumerate(AXES):
        assert np.gcd.reduce(axis) == 1
        assert not any(np.array_equal(np.cross(axis, other), np.zeros(3)) for other in AXES[:i])


@pytest.mark.parametrize("number", [1, 62, 167, 227])
def test_triplets_read_back(number: int) -> None:
    assert np.allclose([parse_triplet(t) for t in triplets(number)], operations(number))
    assert format_triplet(operations(number)[0]) == "x,y,z"


@pytest.mark.parametrize("number", [0, 231, -1])
def test_no_such_group(number: int) -> None:
    with pytest.raises(InputError, match="1 to 230"):
        check_number(number)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_group_is_known_by_its_number_and_symbols(number: int) -> None:
    """Our own two spellings, and those of gemmi (blanks), spglib and pymatgen (screw axes with an underscore)."""
    kind = spglib.get_spacegroup_type(standard_hall_numbers()[number - 1])
    words = gemmi.find_spacegroup_by_number(number).hm
    spellings = [
        symbol(number),
        screw_symbol(number),
        words,
        kind.international_short,
        PymatgenGroup.from_int_number(number).symbol,
    ]
    spellings += [symbol_text(number), symbol(number).lower(), f" {screw_symbol(number).upper()} ", str(number)]
    for spelling in spellings:
        assert number_of(spelling) == number, spelling
    assert number_of(number) == number_of(np.int64(number)) == number


def test_symbols_of_other_settings_are_those_of_gemmis_table() -> None:
    """Of all 564 settings that gemmi lists: where we have an answer, it is gemmi's."""
    answered = set()
    for group in gemmi.spacegroup_table():
        for spelling in (group.hm, group.xhm(), group.short_name()):
            try:
                assert number_of(spelling) == group.number, spelling
                answered.add(group.number)
            except InputError:  # another setting than the standard one
                continue
    assert answered == set(NUMBERS)


@pytest.mark.parametrize(
    ("spelling", "number"),
    [
        ("P 63/m m c", 194), ("P6(3)/mmc", 194), ("P6₃/mmc", 194), ("Fm3m", 225), ("Fm−3m", 225),
        ("R-3m:H", 166), ("Fd-3m:2", 227), ("P 1 21/c 1", 14), ("P21/n", 14), ("P2_1/a", 14), ("Cmca", 64),
        ("Pa3", 205),
        ("P 3 1 2", 149), ("P312", 149), ("P 31 2", None), ("P 3 1 1 2", None), ("P 31 1 2", 151), ("P3_112", 151),
        ("P6 3/mmc", None), ("P 4 2 1 2", None), ("P 4 21 2", 90), ("P 42 2 2", 93), ("Pbnm", None), ("P2/m3", None),
    ],
)  # fmt: skip
def test_spellings(spelling: str, number: int | None) -> None:
    if number is None:
        with pytest.raises(InputError, match="short Hermann–Mauguin symbol"):
            number_of(spelling)
    else:
        assert number_of(spelling) == number


@pytest.mark.parametrize(
    "wrong", [0, 231, -1, "0", "231", "-5", 2.5, 225.0, True, None, "", "pnnma", "1e2", [62], "x" * 5000]
)
def test_no_space_group(wrong: object) -> None:
    with pytest.raises(InputError, match="from 1 to 230"):
        number_of(wrong)


def test_a_slip_of_the_pen_is_told_what_is_near() -> None:
    with pytest.raises(InputError, match=r"near it: .*Pnma"):
        number_of("Pnmaa")
