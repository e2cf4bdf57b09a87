"""Periods and columns against pymatgen's periodic table."""

from __future__ import annotations

import torch
from pymatgen.core import Element

from symmcd.diffusion.staged.element_embedding import ElementEmbedding, periods_and_columns


def test_periods_and_columns_are_those_of_the_periodic_table():
    period, column = periods_and_columns()
    assert period[0] == column[0] == 0
    for number in range(1, 119):
        element = Element.from_Z(number)
        assert period[number] == element.row + 2 * (element.is_lanthanoid or element.is_actinoid) * (element.row > 7)
        first_of_f = 57 if element.is_lanthanoid else 89
        in_f_block = (element.is_lanthanoid or element.is_actinoid) and number < first_of_f + 14
        assert column[number] == (19 + number - first_of_f if in_f_block else element.group), element


def test_elements_of_a_column_share_its_vector():
    torch.manual_seed(0)
    made = ElementEmbedding(8)
    torch.nn.init.zeros_(made.own.weight)
    with torch.no_grad():
        table = made()
    assert table.shape == (119, 8)
    li, na, mg = table[[3, 11, 12]]
    torch.testing.assert_close(li - na, table[4] - mg)  # Li - Na = Be - Mg: the columns cancel
    assert len({(int(p), int(c)) for p, c in zip(*periods_and_columns(), strict=True)}) == 119
