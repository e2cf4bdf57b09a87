"""Masses and electronegativities, against ASE and pymatgen."""

from __future__ import annotations

import math
import warnings

from ase.data import atomic_masses as masses_of_ase
from pymatgen.core import Element

from symmcd.crystallography.composition import SYMBOLS
from symmcd.crystallography.elements import atomic_masses, electronegativities
from symmcd.crystallography.table_files import read_table


def test_the_table_of_elements_is_that_of_ase_and_pymatgen():
    assert [row["symbol"] for row in read_table("elements.csv")] == list(SYMBOLS)
    assert list(atomic_masses()[1:]) == masses_of_ase[1:119].tolist()
    with warnings.catch_warnings(action="ignore"):
        expected = [Element.from_Z(number).X for number in range(1, 119)]
    assert [x if math.isfinite(x) else None for x in electronegativities()[1:]] == [
        None if math.isnan(x) else x for x in expected
    ]
