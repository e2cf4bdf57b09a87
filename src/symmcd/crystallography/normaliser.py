"""Affine normalisers of the space groups, as permutations of Wyckoff letters.

A crystal of a group can be described in as many ways as the group has a normaliser: another origin, other axes.
Descriptions differ in their Wyckoff letters only by a permutation that an operation of the normaliser makes, so the
smallest multiset of letters that these permutations reach is the same for all of them.  The permutations are a table,
made by `tools/normalisers.py` from the operations of the groups.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from symmcd.crystallography.space_group import check_number
from symmcd.crystallography.table_files import table_text
from symmcd.crystallography.wyckoff import wyckoff_table


def letter_permutations(space_group: int) -> np.ndarray:
    """(n, letters) the permutations, identity first; row p says which letter (0 = a) each letter becomes."""
    return _permutations()[check_number(space_group) - 1]


@functools.cache
def _permutations() -> tuple[np.ndarray, ...]:
    """The table, a group each: rows are what becomes of the letters, ``badc`` for a and b, c and d changed."""
    joined = [""] * 230
    count = [0] * 230
    for line in table_text("letter_permutations.csv").splitlines()[1:]:
        group, letters = line.split(",")
        joined[int(group) - 1] += letters
        count[int(group) - 1] += 1
    tables = []
    for letters, rows in zip(joined, count, strict=True):
        letter = np.frombuffer(letters.encode("ascii"), np.uint8).reshape(rows, -1).astype(int)
        table = np.where(letter == ord("A"), 26, letter - ord("a"))
        table.setflags(write=False)
        tables.append(table)
    return tuple(tables)


def canonical_template(template: str) -> str:
    """The smallest of all templates (such as ``225_a_b``) that describe the same arrangement."""
    group, *letters = template.split("_")
    known = _letters(int(group))
    index = [known.index(letter) for letter in letters]
    images = np.sort(letter_permutations(int(group))[:, index], axis=1)
    return "_".join([group, *(known[i] for i in min(map(tuple, images.tolist())))])


def canonical_arrangement(space_group: int, letter: Sequence[int], element: Sequence[int]) -> tuple[int, ...]:
    """The same for all descriptions of positions and elements: a whole number per orbit, ascending.

    Args:
        space_group: 1 … 230.
        letter: of each orbit, 0 = a.
        element: atomic number of each orbit.
    """
    images = np.sort(letter_permutations(space_group)[:, letter] * 256 + np.asarray(element), axis=1)
    return min(map(tuple, images.tolist()))


@functools.cache
def _letters(space_group: int) -> tuple[str, ...]:
    table = wyckoff_table()
    return tuple(table.letter[table.start[space_group - 1] : table.start[space_group]].tolist())
