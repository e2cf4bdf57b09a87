"""A crystal described in a subgroup of its space group, with the same lattice, so that more can be put in.

Only operations are given up and no translations (translationengleiche subgroups); a larger cell is none of these.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.composition import SYMBOLS
from symmcd.crystallography.content import arrangements
from symmcd.crystallography.space_group import screw_symbol
from symmcd.crystallography.symmetric_cell import SymmetricCell, primitive_operations
from symmcd.errors import InputError
from symmcd.structures.cell import Cell
from symmcd.structures.symmetry_search import group_of_operations
from symmcd.structures.units import reduce_crystal

SYMPREC = 1e-3  # Å; the crystals are ideal
TOLERANCE = 1e-5  # of translations, fractional
APART = 0.1  # Å, atoms of the mark from one another and from the crystal's


def in_subgroup(unit: AsymmetricUnit, number: int) -> AsymmetricUnit:
    """The same crystal in a subgroup of this number, in its standard setting.

    Where a group has several subgroups of one number, it is the one that splits the crystal into the fewest orbits.

    Args:
        unit: the crystal.
        number: space group, 1 to 230.

    Raises:
        InputError: no subgroup with the same lattice has this number.
    """
    if number == unit.space_group:
        return unit
    types = subgroups(unit.space_group)
    if number not in types:
        names = ", ".join(f"{screw_symbol(n)} ({n})" for n in sorted(types, reverse=True) if n != unit.space_group)
        raise InputError(
            f"space group {number} is no subgroup of {unit.space_group} with the same lattice; it has {names or 'none'}"
        )
    found = [_described(unit, operations) for operations in types[number]]
    texts = arrangements(AsymmetricUnits.from_units(found))
    return min(zip(found, texts, strict=True), key=lambda pair: (len(pair[0].element), pair[1]))[0]


@functools.cache
def subgroups(space_group: int) -> dict[int, list[tuple[int, ...]]]:
    """Subgroups with all lattice translations, by their number: which of `primitive_operations` each has."""
    rotation, translation = primitive_operations(space_group)
    place = {tuple(r.ravel().tolist()): index for index, r in enumerate(rotation)}
    product = np.array([[place[tuple((a @ b).ravel().tolist())] for b in rotation] for a in rotation])
    found: dict[int, list[tuple[int, ...]]] = {}
    for members in sorted(_closed_sets(product), key=sorted):
        chosen = sorted(members)
        kind = group_of_operations(rotation[chosen], translation[chosen] % 1.0, TOLERANCE)
        found.setdefault(kind, []).append(tuple(chosen))
    return found


def _closed_sets(product: np.ndarray) -> set[frozenset[int]]:
    """All subgroups of a group by its multiplication table (g, g); element 0 is the identity."""
    groups = {_closure(frozenset({0, one}), product) for one in range(len(product))}
    left = set(groups)
    while left:
        further = {_closure(a | b, product) for a, b in itertools.product(left, groups)} - groups
        groups |= further
        left = further
    return groups


def _closure(members: frozenset[int], product: np.ndarray) -> frozenset[int]:
    while True:
        index = sorted(members)
        larger = frozenset(product[np.ix_(index, index)].ravel().tolist())
        if larger == members:
            return members
        members = larger | members


def _described(unit: AsymmetricUnit, operations: tuple[int, ...]) -> AsymmetricUnit:
    """The crystal in the subgroup of these operations.

    Atoms of an element that it does not have, on a general orbit of the subgroup, mark the symmetry: spglib then finds
    the subgroup, and they are left out again.
    """
    cell = SymmetricCell(unit)
    lattice, position = cell.geometry(cell.start)
    rotation, translation = (part[list(operations)] for part in primitive_operations(unit.space_group))
    mark = next(number for number in range(1, len(SYMBOLS) + 1) if number not in unit.element)
    draw = np.random.default_rng(0)
    for _ in range(1000):
        orbit = rotation @ draw.random(3) + translation
        if _apart(np.concatenate([orbit, position]), len(orbit), lattice) > APART:
            break
    else:
        raise InputError(
            f"{unit.formula}: no room for a general position in its cell; its space group cannot be lowered"
        )
    element = np.concatenate([cell.element, np.full(len(orbit), mark)])
    marked = reduce_crystal(Cell(lattice, element, np.concatenate([position, orbit]) % 1.0), SYMPREC)
    kept = np.flatnonzero(marked.element != mark)
    letters = tuple(marked.letter[index] for index in kept)
    return AsymmetricUnit.exact(
        marked.space_group, marked.lattice, marked.element[kept], letters, marked.position[kept]
    )


def _apart(position: np.ndarray, first: int, lattice: np.ndarray) -> float:
    """Shortest distance of the `first` points (fractional) from each other and from the rest, Å."""
    difference = position[:first, None] - position[None]
    difference -= np.rint(difference)
    distance = np.linalg.norm(difference @ lattice, axis=2)
    distance[np.arange(first), np.arange(first)] = np.inf
    return float(distance.min())
