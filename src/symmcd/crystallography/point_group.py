"""Crystal systems and point groups of the 230 space groups, and what they say of a crystal: polar, chiral, centred.

Space groups stand in the order of their point groups, so one table of last numbers is all that is needed.  Standard
library only: the help of the command line names these.
"""

from __future__ import annotations

from bisect import bisect_left

POINT_GROUPS = {
    "1": 1, "-1": 2, "2": 5, "m": 9, "2/m": 15, "222": 24, "mm2": 46, "mmm": 74,
    "4": 80, "-4": 82, "4/m": 88, "422": 98, "4mm": 110, "-42m": 122, "4/mmm": 142,
    "3": 146, "-3": 148, "32": 155, "3m": 161, "-3m": 167,
    "6": 173, "-6": 174, "6/m": 176, "622": 182, "6mm": 186, "-6m2": 190, "6/mmm": 194,
    "23": 199, "m-3": 206, "432": 214, "-43m": 220, "m-3m": 230,
}  # fmt: skip
"""Symbol of each point group, in the order of the space groups → last space group that has it."""

SYSTEMS = {
    "triclinic": 2, "monoclinic": 15, "orthorhombic": 74, "tetragonal": 142, "trigonal": 167, "hexagonal": 194,
    "cubic": 230,
}  # fmt: skip
"""Crystal system → its last space group."""

CENTRED = ("-1", "2/m", "mmm", "4/m", "4/mmm", "-3", "-3m", "6/m", "6/mmm", "m-3", "m-3m")  # Laue groups: with -1
POLAR = ("1", "2", "m", "mm2", "4", "4mm", "3", "3m", "6", "6mm")  # leave a direction where it is
ROTATIONS = ("1", "2", "222", "4", "422", "3", "32", "6", "622", "23", "432")  # without mirrors and inversions
ENANTIOMORPHIC = (
    76, 78, 91, 95, 92, 96, 144, 145, 151, 153, 152, 154, 169, 170, 171, 172, 178, 179, 180, 181, 212, 213,
)  # fmt: skip
"""The 22 space groups that are not their own mirror image (11 pairs)."""


def point_group(number: int) -> str:
    """Hermann–Mauguin symbol of the point group of a space group, 1 to 230."""
    return _of(POINT_GROUPS, number)


def crystal_system(number: int) -> str:
    """Crystal system of a space group, 1 to 230; trigonal and hexagonal are told apart."""
    return _of(SYSTEMS, number)


def groups_of(*point_groups: str) -> tuple[int, ...]:
    """Space groups of these point groups, ascending."""
    return tuple(number for number in range(1, 231) if point_group(number) in point_groups)


def _of(last: dict[str, int], number: int) -> str:
    return list(last)[bisect_left(list(last.values()), number)]
