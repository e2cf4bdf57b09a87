"""Consistency of asymmetric units: cells of the group's family, representatives on their Wyckoff positions.

Rounding is corrected: values within the tolerances below are moved to where the group needs them.  Values that are
exact to `EXACT` stay unchanged to the last digit; larger deviations are an error.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from symmcd.crystallography.composition import HEAVIEST
from symmcd.crystallography.lattice import constrain, lattice_from_k, lengths_and_angles
from symmcd.crystallography.projection import nearest_on_positions, to_generator_form
from symmcd.crystallography.space_group import crystal_family, format_triplet, symbol
from symmcd.crystallography.wyckoff import wrap, wyckoff_table
from symmcd.errors import InputError

POSITION_TOLERANCE = 0.01
"""Å: how far a representative may lie off its Wyckoff position.  Three digits of a coordinate in a cell of 20 Å."""

LENGTH_TOLERANCE = 0.01
"""Å: how much a cell length may change when the cell is made one of the group's family."""

ANGLE_TOLERANCE = 0.1
"""Degrees: the same of an angle."""

SAME_POINT = 0.01
"""Å: atoms closer than this are on one point."""

EXACT = 1e-9
"""Fraction of the cell, and coefficient of the lattice: what rounding in double precision leaves."""

FAMILY_CONDITIONS = {
    "triclinic": "any cell",
    "monoclinic": "alpha = gamma = 90°",
    "orthorhombic": "alpha = beta = gamma = 90°",
    "tetragonal": "a = b, alpha = beta = gamma = 90°",
    "hexagonal": "a = b, alpha = beta = 90°, gamma = 120°",
    "cubic": "a = b = c, alpha = beta = gamma = 90°",
}

_MOST_SIZE, _MOST_SHAPE = 12.0, 9.0  # edges of e⁻¹² to e¹² Å, and at most e¹³ times as long as wide


def impossible_cells(k: np.ndarray) -> np.ndarray:
    """(B,) bool: coefficients (B, 6) that are not finite, or of cells beyond what can be computed with.

    Far beyond any crystal: a cell of 160,000 Å or of 6e-6 Å, or one 300,000 times as long as wide.
    """
    possible = np.abs(k).max(axis=1, initial=0) <= _MOST_SIZE  # nan is not
    shape = np.square(np.where(possible[:, None], k, 0)[:, :5]) @ [2, 2, 2, 2, 6]  # Frobenius, S without its trace
    return ~possible | (shape > _MOST_SHAPE**2)


def settled(
    space_group: np.ndarray,
    k: np.ndarray,
    start: np.ndarray,
    element: np.ndarray,
    wyckoff: np.ndarray,
    position: np.ndarray,
    name: Callable[[int], str] = lambda _: "",
) -> tuple[np.ndarray, np.ndarray]:
    """Lattices and representatives as their groups want them.

    Args:
        space_group: (B,).
        k: (B, 6).
        start: (B + 1,) crystal i has orbits start[i]:start[i+1].
        element: (A,) atomic numbers.
        wyckoff: (A,) rows of the Wyckoff table.
        position: (A, 3) fractional, on any image of the position.
        name: of crystal i, with what stands before an error, for example "crystal 00017: ".

    Returns:
        k (B, 6), and the representatives (A, 3) in generator form and [0, 1).

    Raises:
        InputError: the first thing that makes them no asymmetric units.
    """
    crystal = _check_rows(space_group, start, element, wyckoff, name)
    if (a := _first(~np.isfinite(position).all(axis=1))) is not None:
        i = int(crystal[a])
        raise InputError(f"{name(i)}orbit {a - start[i]}: its position {_numbers(position[a])} is not finite")
    k = family_lattices(k, space_group, name)
    position = _on_positions(position, k, crystal, wyckoff, lambda a: _orbit(name, crystal, start, element, wyckoff, a))
    _check_single(crystal, wyckoff, lambda a: _orbit(name, crystal, start, element, wyckoff, a))
    return k, position


def check_orbits(
    space_group: np.ndarray,
    start: np.ndarray,
    element: np.ndarray,
    wyckoff: np.ndarray,
    name: Callable[[int], str] = lambda _: "",
) -> None:
    """See that crystals without a geometry are some; arguments as of `settled`.

    Raises:
        InputError: the first thing that makes them none, such as two orbits on a position that has room for one.
    """
    crystal = _check_rows(space_group, start, element, wyckoff, name)
    _check_single(crystal, wyckoff, lambda a: _orbit(name, crystal, start, element, wyckoff, a))


def _check_rows(
    space_group: np.ndarray, start: np.ndarray, element: np.ndarray, wyckoff: np.ndarray, name: Callable[[int], str]
) -> np.ndarray:
    """`check_contents`, and Wyckoff positions of the right group; the crystal (A,) of each orbit."""
    crystal = check_contents(space_group, start, element, name)
    table = wyckoff_table()
    group = space_group[crystal]
    if (a := _first((wyckoff < table.start[group - 1]) | (wyckoff >= table.start[group]))) is not None:
        i = int(crystal[a])
        raise InputError(f"{name(i)}orbit {a - start[i]}: Wyckoff row {wyckoff[a]} is not of space group {group[a]}")
    return crystal


def check_contents(
    space_group: np.ndarray, start: np.ndarray, element: np.ndarray, name: Callable[[int], str]
) -> np.ndarray:
    """See that crystals have groups, orbits and elements that there are; arguments as of `settled`.

    Returns:
        The crystal (A,) of each orbit.

    Raises:
        InputError: `start` is not from 0 up to the number of orbits, or a group or element is none.
    """
    if len(start) != len(space_group) + 1 or start[0] != 0 or start[-1] != len(element):
        ends = f"{start[0]} … {start[-1]}" if len(start) else "none"
        raise InputError(
            f"start has {len(start)} numbers ({ends}), expected {len(space_group) + 1}, from 0 to the number of orbits "
            f"{len(element)}"
        )
    if (i := _first(start[1:] <= start[:-1])) is not None:
        raise InputError(f"{name(i)}start goes from {start[i]} to {start[i + 1]}, so it has no orbits")
    crystal = np.repeat(np.arange(len(space_group)), np.diff(start))
    if (i := _first((space_group < 1) | (space_group > 230))) is not None:
        raise InputError(f"{name(i)}space group {space_group[i]}: expected a number from 1 to 230")
    if (a := _first((element < 1) | (element > HEAVIEST))) is not None:
        i = int(crystal[a])
        raise InputError(
            f"{name(i)}orbit {a - start[i]}: element {element[a]}, expected an atomic number from 1 to {HEAVIEST}"
        )
    return crystal


def family_lattices(k: np.ndarray, space_group: np.ndarray, name: Callable[[int], str] = lambda _: "") -> np.ndarray:
    """k (B, 6) with the components that the groups fix, where this changes no length or angle beyond the tolerances.

    Raises:
        InputError: no cell, or one of another family.
    """
    if (i := _first(impossible_cells(k))) is not None:
        raise InputError(f"{name(i)}the lattice is not a usable cell (k = {_numbers(k[i])})")
    constrained = constrain(k, space_group)
    rows = np.flatnonzero(np.abs(k - constrained).max(axis=1) > EXACT)
    if not len(rows):
        return k
    length, angle = lengths_and_angles(lattice_from_k(k[rows]))
    new_length, new_angle = lengths_and_angles(lattice_from_k(constrained[rows]))
    change = np.maximum(np.abs(length - new_length) / LENGTH_TOLERANCE, np.abs(angle - new_angle) / ANGLE_TOLERANCE)
    if (j := _first(change.max(axis=1) > 1)) is not None:
        i = int(rows[j])
        number = int(space_group[i])
        family = crystal_family(number)
        axes = ", hexagonal axes" if family == "hexagonal" and number < 168 else ""
        lengths, angles = (" ".join(f"{v:.4g}" for v in values) for values in (length[j], angle[j]))
        raise InputError(
            f"{name(i)}the lattice is not of space group {number} ({family}{axes}: {FAMILY_CONDITIONS[family]}): a, b, "
            f"c = {lengths} Å, alpha, beta, gamma = {angles}° (up to {LENGTH_TOLERANCE} "
            f"Å and {ANGLE_TOLERANCE}° are corrected)"
        )
    made = k.copy()
    made[rows] = constrained[rows]
    return made


def _on_positions(
    position: np.ndarray, k: np.ndarray, crystal: np.ndarray, wyckoff: np.ndarray, name: Callable[[int], str]
) -> np.ndarray:
    """Representatives in generator form; `name` is of orbit a."""
    template = wyckoff_table().generator[wyckoff]
    position = np.where((position >= 0) & (position < 1), position, wrap(position))
    offset = (template[:, :, :3] @ position[:, :, None])[..., 0] + template[:, :, 3] - position
    rows = np.flatnonzero(np.abs(offset - np.rint(offset)).max(axis=1) > EXACT)
    if not len(rows):
        return position
    lattice = lattice_from_k(k[crystal[rows]])
    squared, image, point = nearest_on_positions(position[rows], wyckoff[rows], lattice @ np.swapaxes(lattice, 1, 2))
    if (j := _first(squared > POSITION_TOLERANCE**2)) is not None:
        a = int(rows[j])
        other = fitting_letter(position[a], lattice[j], wyckoff[a])
        raise InputError(
            f"{name(a)}: {_numbers(position[a])} is {np.sqrt(squared[j]):.3g} Å off the position "
            f"({format_triplet(template[a])}) and its images (up to "
            f"{POSITION_TOLERANCE} Å is corrected); the letter of "
            f"this point is {other}"
        )
    made = position.copy()
    made[rows] = to_generator_form(point, image, wyckoff[rows])
    return made


def fitting_letter(position: np.ndarray, lattice: np.ndarray, wyckoff: int) -> str:
    """Letter of the most symmetric position of the group of `wyckoff` that a point (3,) lies on, within tolerance."""
    table = wyckoff_table()
    number = table.space_group[wyckoff]
    rows = np.arange(table.start[number - 1], table.start[number])
    metric = np.broadcast_to(lattice @ lattice.T, (len(rows), 3, 3))
    squared, _, _ = nearest_on_positions(np.broadcast_to(position, (len(rows), 3)), rows, metric)
    near = rows[squared <= POSITION_TOLERANCE**2]
    return str(table.letter[near[table.multiplicity[near].argmin()]])


def check_apart(lattice: np.ndarray, element: np.ndarray, wyckoff: np.ndarray, position: np.ndarray) -> None:
    """See that no two atoms of a crystal are on one point.

    Args:
        lattice: (3, 3).
        element, wyckoff, position: (M,), (M,), (M, 3) of its orbits, in generator form.

    Raises:
        InputError: an orbit is given the letter of a less symmetric position than its point is on, or two share one.
    """
    table = wyckoff_table()
    atom, owner = table.orbit(wyckoff, position)
    first = np.concatenate([[0], np.cumsum(table.multiplicity[wyckoff])])[:-1]  # the representatives' own atoms
    for i in range(len(wyckoff)):
        difference = atom[first[i] :] - position[i]  # those before were compared from the other side
        difference -= np.rint(difference)
        distance = np.linalg.norm(difference @ lattice, axis=1)
        distance[0] = np.inf
        if distance.min() >= SAME_POINT:
            continue
        nearest = int(distance.argmin())
        j = int(owner[first[i] + nearest])
        here = orbit_name(i, element[i], wyckoff[i])
        if i != j:
            raise InputError(
                f"{here} and {orbit_name(j, element[j], wyckoff[j])} are on the "
                f"same point ({distance[nearest]:.2g} Å apart)"
            )
        raise InputError(
            f"{here}: {_numbers(position[i])} is on a more symmetric position, so that atoms of its orbit coincide "
            f"({distance[nearest]:.2g} Å apart); the letter of this point is "
            f"{fitting_letter(position[i], lattice, wyckoff[i])}"
        )


def orbit_name(index: int, element: int, wyckoff: int) -> str:
    """Orbit `index` as an error speaks of it."""
    table = wyckoff_table()
    number = int(table.space_group[wyckoff])
    return f"orbit {index} (element {element}, letter {table.letter[wyckoff]} of space group {number} {symbol(number)})"


def _orbit(
    name: Callable[[int], str],
    crystal: np.ndarray,
    start: np.ndarray,
    element: np.ndarray,
    wyckoff: np.ndarray,
    a: int,
) -> str:
    i = int(crystal[a])
    return name(i) + orbit_name(int(a - start[i]), element[a], wyckoff[a])


def _check_single(crystal: np.ndarray, wyckoff: np.ndarray, name: Callable[[int], str]) -> None:
    """See that no crystal has two orbits on a position without freedom."""
    for i in crowded_crystals(crystal, wyckoff)[:1]:
        orbits = np.flatnonzero(crystal == i)
        single = orbits[wyckoff_table().degrees_of_freedom[wyckoff[orbits]] == 0]
        _, first, count = np.unique(wyckoff[single], return_index=True, return_counts=True)
        a = int(single[first[count > 1][0]])
        b = int(single[wyckoff[single] == wyckoff[a]][1])
        raise InputError(f"{name(a)} and orbit {b - int(orbits[0])} are on the same point, which holds only one atom")


def crowded_crystals(crystal: np.ndarray, wyckoff: np.ndarray) -> np.ndarray:
    """Crystals in which two orbits share a position without freedom."""
    table = wyckoff_table()
    single = np.flatnonzero(table.degrees_of_freedom[wyckoff] == 0)
    keys, counts = np.unique(crystal[single] * len(table.letter) + wyckoff[single], return_counts=True)
    return np.unique(keys[counts > 1] // len(table.letter))


def _first(wrong: np.ndarray) -> int | None:
    """Index of the first that is true."""
    return int(wrong.argmax()) if wrong.any() else None


def _numbers(values: np.ndarray) -> str:
    return "(" + ", ".join(f"{v:.6g}" for v in values.tolist()) + ")"
