"""Symmetry elements of operations, and the codes that are made of them, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from tools.symmetry_elements import classify, site_code

from symmcd.crystallography.site_symmetry import SYMBOLS
from symmcd.crystallography.space_group import AXES
from symmcd.crystallography.wyckoff import wyckoff_table


def test_classify_names_a_known_operation() -> None:
    order, axis = classify(
        np.array([[[0, -1, 0], [1, -1, 0], [0, 0, 1]], [[0, 1, 0], [1, 0, 0], [0, 0, 1]], -np.eye(3)])
    )
    assert order.tolist() == [3, -2, -1]
    assert AXES[axis[0]].tolist() == [0, 0, 1]
    assert AXES[axis[1]].tolist() == [1, -1, 0]  # the mirror that swaps x and y is normal to [1-10]


def test_an_inversion_alone_is_along_every_axis() -> None:
    assert {SYMBOLS[i] for i in site_code(np.array([np.eye(3), -np.eye(3)]))} == {"-1"}


@pytest.mark.parametrize(
    ("group", "letter", "along"),
    [
        (221, "a", {"001": "4/m", "100": "4/m", "111": "-3", "110": "2/m"}),  # m-3m
        (221, "e", {"100": "4", "001": "m", "011": "m"}),  # 4m.m along x
        (194, "c", {"001": "-6", "100": "m", "010": "m", "110": "m", "1-10": "2", "120": "2", "210": "2"}),  # -6m2
        (216, "a", {"001": "-4", "111": "3", "110": "m"}),  # -43m
        (62, "c", {"010": "m"}),  # .m.
    ],
)
def test_codes_of_positions_as_international_tables_print_them(group: int, letter: str, along: dict[str, str]) -> None:
    code = wyckoff_table().site_symmetry[wyckoff_table().row(group, letter)]
    axes = ["".join(map(str, axis)) for axis in AXES.tolist()]
    found = {axis: SYMBOLS[i] for axis, i in zip(axes, code.tolist(), strict=True)}
    assert {axis: found[axis] for axis in along} == along
