"""Chemical systems in play: those of the crystals to be judged.  No crystal outside of them has a part in their hull.

The hull at a composition is the lowest mixture of phases that have its elements and no others, so a reference crystal
matters only where all of its elements are among those of at least one crystal to be judged.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np
from pymatgen.core import Composition

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.composition import HEAVIEST
from symmcd.errors import InputError
from symmcd.stability.hull_entries import is_formula
from symmcd.stability.outcome import is_unread
from symmcd.structures.files import shown
from symmcd.tables import read_rows


def read_systems(paths: Iterable[Path]) -> set[frozenset[int]]:
    """Chemical systems, each a set of atomic numbers, of all crystals in tables of `symmcd relax`.

    A crystal without an energy is in play too: its row in hull.csv has the hull at its composition.  One that could not
    be read has none.

    Args:
        paths: csv, with a column ``formula``.

    Raises:
        InputError: an unreadable table, or a row whose formula is none.
    """
    formulas: dict[str, tuple[Path, int]] = {}  # where each stands first
    for path in paths:
        for number, row in enumerate(read_rows(path, ("formula",), "relax"), 1):
            if not is_unread(row):
                formulas.setdefault(row["formula"], (path, number))
    for formula, (path, number) in formulas.items():
        if not is_formula(formula):
            raise InputError(f"{path}, row {number}: {shown(formula)!r} is not a formula; run `symmcd relax` again")
    return {frozenset(element.Z for element in Composition(formula).elements) for formula in formulas}


def within(units: AsymmetricUnits, systems: Collection[frozenset[int]]) -> np.ndarray:
    """(B,) whether the elements of each crystal are all among those of at least one system.

    Time grows with crystals times elements, however large the systems are.

    Args:
        units: B crystals.
        systems: sets of atomic numbers.
    """
    having = [0] * (HEAVIEST + 1)  # by element: the systems that have it, a bit each
    for bit, system in enumerate(systems):
        for element in system:
            having[element] |= 1 << bit
    elements, start = units.element.tolist(), units.start.tolist()
    return np.array([_shared(having, set(elements[a:b])) for a, b in itertools.pairwise(start)], bool)


def _shared(having: Sequence[int], elements: Iterable[int]) -> bool:
    """Return whether a system has all of the elements."""
    systems = -1
    for element in elements:
        systems &= having[element]
    return systems != 0
