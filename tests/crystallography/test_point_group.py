"""Crystal systems, point groups and what follows from them, against spglib's operations."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import spglib
from pymatgen.symmetry.groups import SpaceGroup

from symmcd.crystallography.point_group import (
    CENTRED,
    ENANTIOMORPHIC,
    POLAR,
    ROTATIONS,
    crystal_system,
    groups_of,
    point_group,
)


@functools.cache
def first_halls() -> dict[int, int]:
    """A setting of each space group, by spglib's number of it."""
    return {spglib.get_spacegroup_type(hall).number: hall for hall in range(530, 0, -1)}


def rotations(number: int) -> np.ndarray:
    return spglib.get_symmetry_from_database(first_halls()[number])["rotations"]


@pytest.mark.parametrize("number", range(1, 231))
def test_every_space_group_has_the_kind_that_its_operations_have(number):
    kind = spglib.get_spacegroup_type(first_halls()[number])
    assert point_group(number) == kind.pointgroup_international
    assert crystal_system(number) == SpaceGroup.from_int_number(number).crystal_system
    own = rotations(number)
    assert (point_group(number) in CENTRED) == any((r == -np.eye(3)).all() for r in own)
    assert (point_group(number) in POLAR) == (np.linalg.matrix_rank(own.mean(axis=0)) > 0)  # a vector stays as it is
    assert (point_group(number) in ROTATIONS) == all(np.linalg.det(r) > 0 for r in own)


def test_enantiomorphic_groups_are_those_that_a_mirror_turns_into_another():
    turned = set()
    for number, hall in first_halls().items():
        found = spglib.get_symmetry_from_database(hall)
        mirrored = spglib.get_spacegroup_type_from_symmetry(found["rotations"], -found["translations"])
        if mirrored.number != number:
            turned.add(number)
    assert set(ENANTIOMORPHIC) == turned
    assert len(turned) == 22


def test_how_many_there_are():
    counted = (POLAR, ROTATIONS, CENTRED)
    assert [len(groups_of(*names)) for names in counted] == [68, 65, 92]
