"""The 230 groups: our operations against spglib's and moyopy's own databases, and the laws of a group."""

from __future__ import annotations

import moyopy
import numpy as np
import pytest
import spglib
from pymatgen.symmetry.groups import SpaceGroup as PymatgenGroup

from symmcd.crystallography.space_group import (
    AXES,
    check_number,
    classify,
    crystal_family,
    format_triplet,
    operations,
    parse_triplet,
    space_group_codes,
    symbol,
    triplets,
)
from symmcd.errors import InputError
from symmcd.structures.symmetry import standard_hall_numbers

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


def test_screw_sense_of_an_enantiomorphic_pair() -> None:
    """P3_1 turns right-handed by a third, P3_2 by two thirds."""
    elements = space_group_codes()[:, : 15 * 26].reshape(230, 15, 26)
    from symmcd.crystallography.space_group import ELEMENTS

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


def test_classify_names_a_known_operation() -> None:
    order, axis = classify(
        np.array([[[0, -1, 0], [1, -1, 0], [0, 0, 1]], [[0, 1, 0], [1, 0, 0], [0, 0, 1]], -np.eye(3)])
    )
    assert order.tolist() == [3, -2, -1]
    assert AXES[axis[0]].tolist() == [0, 0, 1]
    assert AXES[axis[1]].tolist() == [1, -1, 0]  # the mirror that swaps x and y is normal to [1-10]


@pytest.mark.parametrize("number", [1, 62, 167, 227])
def test_triplets_read_back(number: int) -> None:
    assert np.allclose([parse_triplet(t) for t in triplets(number)], operations(number))
    assert format_triplet(operations(number)[0]) == "x,y,z"


@pytest.mark.parametrize("number", [0, 231, -1])
def test_no_such_group(number: int) -> None:
    with pytest.raises(InputError, match="1 to 230"):
        check_number(number)
