"""Symmetry operations as files list them: read, tested for being a group, completed, named.

An operation is a (3, 4) matrix [W | w] on fractional column vectors.  A list of n operations stands for the group that
they and the lattice translations make; it is whole if n is that group's order modulo the translations.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

import gemmi
import numpy as np

from symmcd.crystallography.space_group import format_triplet, parse_triplet
from symmcd.structures.crystal import StructureError
from symmcd.structures.symmetry_search import group_of_operations

MOST = 768
"""Operations that a file may list: 192 of an F-centred cubic group, four times for cells larger than the conventional
one."""

ORDER = 192
"""Operations of the largest space groups, such as Fm-3m, modulo the translations of their conventional cells."""

LARGEST = 9
"""Entry of a rotation; those of reduced cells have 1 at most."""

SAME_TRANSLATION = 5e-3
"""Fractional: translations this close are one; files round thirds and sixths to two or three digits."""

STRAIN = 0.05
"""Largest relative change of the cell's metric by an operation: about 2.5 % of a length or 3°.  Measured cells deviate
by less than a thousandth; more means that the operations are of another cell."""


@dataclass(frozen=True, eq=False)
class Operations:
    """Distinct operations, the identity first, and what they are."""

    matrices: np.ndarray  # (n, 3, 4), translations in [0, 1)
    missing: str  # an operation that two of them make and that is not there, as a triplet; empty for a group
    number: int  # number of the space-group type, in any setting; 0 if it is not a group

    def __len__(self) -> int:
        return len(self.matrices)


@functools.lru_cache(maxsize=1024)
def listed(triplets: tuple[str, ...]) -> Operations:
    """Operations of coordinate triplets, translations snapped to 24ths if nearly so.

    Raises:
        StructureError: unparseable, or too_large for more than `MOST`.
    """
    if len(triplets) > MOST:
        raise StructureError("too_large", f"{len(triplets)} symmetry operations; no space group has more than {MOST}")
    try:
        found = np.array([parse_triplet(re.sub(r"\s", "", t).lower()) for t in triplets])
        rotation = found[:, :, :3]
        valid = (np.abs(np.abs(np.linalg.det(rotation)) - 1) < 1e-6) & (np.abs(rotation) <= LARGEST).all(axis=(1, 2))
        valid &= (rotation == np.rint(rotation)).all(axis=(1, 2))
        valid &= np.isfinite(found).all(axis=(1, 2))
    except (ValueError, IndexError, ZeroDivisionError, OverflowError, np.linalg.LinAlgError):
        raise StructureError("unparseable", f"symmetry operations {'; '.join(triplets)[:200]}") from None
    if not valid.all():
        raise StructureError("unparseable", f"symmetry operation {triplets[int(valid.argmin())][:80]!r}")
    return _described(found)


def _described(matrices: np.ndarray) -> Operations:
    matrices = matrices.copy()
    snapped = np.rint(matrices[:, :, 3] * 24) / 24
    near = np.abs(matrices[:, :, 3] - snapped) < 2e-3
    matrices[:, :, 3] = np.where(near, snapped, matrices[:, :, 3]) % 1
    identity = np.eye(3, 4)
    others = ~(np.abs(matrices - identity) < 1e-9).all(axis=(1, 2))
    matrices = np.concatenate([identity[None], np.unique(matrices[others], axis=0)])
    matrices.setflags(write=False)
    missing = _missing(matrices)
    rotation, translation = np.rint(matrices[:, :, :3]), matrices[:, :, 3]
    number = 0 if missing else group_of_operations(rotation, translation, SAME_TRANSLATION)
    return Operations(matrices, missing, number)


def _missing(matrices: np.ndarray) -> str:
    """The first product of two operations that is not among them, as a triplet; empty if there is none.

    The product of (W, w) and (V, v) is (WV, Wv + w), found if an operation with its rotation has this translation.
    """
    rotation, translation = np.rint(matrices[:, :, :3]).astype(int), matrices[:, :, 3]
    kinds, kind, count = np.unique(_codes(rotation), return_inverse=True, return_counts=True)
    members = np.full((len(kinds), count.max(), 3), np.nan)  # translations that go with each rotation
    place = np.argsort(np.argsort(kind, kind="stable")) - (np.cumsum(count) - count)[kind]
    members[kind, place] = translation
    for turn, shift in zip(rotation, translation, strict=True):
        codes = _codes(turn @ rotation)
        target = np.minimum(np.searchsorted(kinds, codes), len(kinds) - 1)
        moved = translation @ turn.T + shift
        difference = members[target] - moved[:, None]
        difference -= np.rint(difference)
        there = (np.abs(difference) < SAME_TRANSLATION).all(axis=2).any(axis=1) & (kinds[target] == codes)
        if not there.all():
            which = int(there.argmin())
            return format_triplet(np.column_stack([turn @ rotation[which], moved[which] % 1]))
    return ""


def _codes(rotation: np.ndarray) -> np.ndarray:
    """One number for each of (n, 3, 3) integer rotations with entries of at most `LARGEST`."""
    return (rotation.reshape(-1, 9) + LARGEST) @ (2 * LARGEST + 1) ** np.arange(9)


def completed(operations: Operations) -> Operations | None:
    """The group that operations generate; None if it has more than `ORDER` members, as of no space group."""
    members = operations.matrices
    generators = members[1:]
    fresh = members
    while len(fresh):
        rotation = fresh[:, None, :, :3] @ generators[None, :, :, :3]
        shift = (fresh[:, None, :, :3] @ generators[None, :, :, 3, None])[..., 0] + fresh[:, None, :, 3]
        snapped = np.rint(shift * 24) / 24
        shift = np.where((np.abs(shift - snapped) < 2e-3).all(axis=2, keepdims=True), snapped, shift) % 1
        made = np.concatenate([rotation, shift[..., None]], axis=3).reshape(-1, 3, 4)
        _, first = np.unique(_keys(made), return_index=True)
        fresh = made[first][~np.isin(_keys(made[first]), _keys(members))]
        members = np.concatenate([members, fresh])
        if len(members) > ORDER or np.abs(members[:, :, :3]).max() > LARGEST:
            return None
    whole = _described(members)
    return None if whole.missing else whole


def _keys(matrices: np.ndarray) -> np.ndarray:
    """(n,) one number for each operation, the same for those that differ by a translation of the lattice."""
    translation = np.rint(matrices[:, :, 3] * 240).astype(int) % 240
    return _codes(np.rint(matrices[:, :, :3]).astype(int)) * 240**3 + translation @ (240 ** np.arange(3))


def fits_cell(operations: Operations, lattice: np.ndarray) -> bool:
    """Return whether every operation leaves the cell's lengths and angles as they are, within `STRAIN`."""
    if len(operations) == 1:
        return True
    rotation = operations.matrices[:, :, :3]
    metric = lattice @ lattice.T
    moved = rotation.transpose(0, 2, 1) @ metric @ rotation
    length = np.sqrt(np.diagonal(metric))
    return bool((np.abs(moved - metric) <= STRAIN * np.outer(length, length)).all())


@functools.lru_cache(maxsize=1024)
def by_hall(symbol: str) -> Operations | None:
    """Operations of a Hall symbol; None if it is not a valid one."""
    try:
        return listed(tuple(op.triplet() for op in gemmi.symops_from_hall(symbol)))
    except (RuntimeError, ValueError, StructureError):
        return None


@functools.lru_cache(maxsize=1024)
def by_symbol(symbol: str, alpha: float, gamma: float) -> gemmi.SpaceGroup | None:
    """The setting that a Hermann–Mauguin symbol names, with the spellings of ICSD (``F d -3 m Z``) and of old files.

    Rhombohedral groups are told apart by the cell's angles, in degrees.
    """
    plain = re.sub(r"\((\d)\)", r"\1", symbol).strip()  # P 2(1)/c
    plain = re.sub(r"\s*:?\s*O([12])$", r":\1", plain)
    for last, choice in (("S", ":1"), ("Z", ":2")):
        if re.search(rf"\s{last}$", plain):
            with_choice = gemmi.find_spacegroup_by_name(plain[:-1].strip() + choice, alpha, gamma)
            return with_choice or gemmi.find_spacegroup_by_name(plain[:-1].strip(), alpha, gamma)
    return gemmi.find_spacegroup_by_name(plain, alpha, gamma)


@functools.lru_cache(maxsize=1024)
def of_setting(hall: str) -> Operations:
    """Operations of a tabulated setting, by its Hall symbol."""
    return listed(tuple(op.triplet() for op in gemmi.symops_from_hall(hall)))
