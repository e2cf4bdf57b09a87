"""Atoms that a CIF lists → all atoms of its cell, by symmetry operations and as exactly as its digits allow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symmcd.crystallography.wyckoff import wrap
from symmcd.structures.cell import Cell
from symmcd.structures.crystal import (
    MOST_ATOMS,
    SAME_SITE,
    StructureError,
    check_ordered,
    distances,
    near_pairs,
)
from symmcd.structures.symmetry_operations import ORDER, Operations

CONTACT = 0.5
"""Å: no two atoms are nearer (H₂: 0.74).  Images of an atom that rounding alone tells apart are one below it."""

COARSE = 0.005
"""Å: an uncertainty of rounding above it, as of two or three digits, makes contacts below `CONTACT` an error of the
file.  Of more exact positions they are what the file means, for example a bad crystal that is to be judged."""


@dataclass(frozen=True, eq=False)
class Sites:
    """Atoms as a CIF lists them."""

    element: np.ndarray  # (n,) atomic numbers
    position: np.ndarray  # (n, 3) fractional
    names: list[str]
    multiplicity: np.ndarray  # (n,) as given, 0 where it is not
    rounding: float  # half a unit of the last digit of the most exact coordinate, fractional
    hydrogens: int  # that are attached to the atoms and have no position


def expanded(sites: Sites, operations: Operations, lattice: np.ndarray) -> tuple[Cell, np.ndarray]:
    """All atoms of the cell, and how many each site makes (n,), before atoms that the file lists twice are merged.

    Images of a site that the rounding of its coordinates tells apart are one atom, on the special position between
    them; so are those within `SAME_SITE`.  A listed atom that is an image of another one is merged with it.

    Raises:
        StructureError: bad_position, disordered, redundant or too_large.
    """
    if len(sites.position) * len(operations) > MOST_ATOMS * ORDER:
        raise StructureError("too_large", f"{len(sites.position)} atoms and {len(operations)} operations")
    if len(operations) == 1:
        position, images = sites.position, np.ones(len(sites.position), int)
    else:
        parts = [_images(i, sites, operations.matrices, lattice) for i in range(len(sites.position))]
        position, images = np.concatenate(parts), np.array([len(part) for part in parts])
    if len(position) > MOST_ATOMS:
        raise StructureError("too_large", f"{len(position)} atoms in the cell; at most {MOST_ATOMS} are read")
    owner = np.repeat(np.arange(len(images)), images)
    keep = _merged(position, owner, sites, lattice)
    crystal = Cell(lattice, sites.element[owner[keep]], position[keep])
    names = [sites.names[i] for i in owner[keep]]
    check_ordered(crystal, names)
    _check_contacts(crystal, names, sites.rounding)
    return crystal, images


def _images(i: int, sites: Sites, operations: np.ndarray, lattice: np.ndarray) -> np.ndarray:
    """Distinct images (m, 3) of site i, the site itself first."""
    site = sites.position[i]
    rotation, translation = operations[:, :, :3], operations[:, :, 3]
    shift = rotation @ site + translation - site
    shift -= np.rint(shift)
    away = np.linalg.norm(shift @ lattice, axis=1)
    rounded = (np.abs(shift) <= np.abs(rotation - np.eye(3)).sum(axis=2) * sites.rounding + 1e-9).all(axis=1)
    here = (away < SAME_SITE) | (rounded & (away < CONTACT))  # operations that keep the atom where it is
    centred = site + shift[here].mean(axis=0)
    images = wrap(rotation @ centred + translation)
    first = (distances(images, images, lattice) < SAME_SITE).argmax(axis=1)
    distinct = images[first == np.arange(len(images))]
    if len(distinct) * here.sum() != len(operations):
        raise StructureError(
            "bad_position", f"site {sites.names[i]} has {len(distinct)} images under {len(operations)} operations, "
            f"{here.sum()} of which keep it; it is too near to a special position, "
"or its coordinates have too few digits"
        )  # fmt: skip
    return distinct


def _merged(position: np.ndarray, owner: np.ndarray, sites: Sites, lattice: np.ndarray) -> np.ndarray:
    """(N,) False for the atoms of sites that are images of an earlier one: the file lists them twice.

    Two listed atoms on one point, neither of which an operation makes of the other, are left for `check_ordered`.
    """
    keep = np.ones(len(position), bool)
    if len(position) == len(sites.position):
        return keep
    first = np.searchsorted(owner, np.arange(len(sites.position)))  # the listed atom of each site
    pairs, _ = near_pairs(position, lattice, max(SAME_SITE, min(CONTACT, 2 * _uncertainty(sites.rounding, lattice))))
    for i, j in pairs:
        a, b = owner[i], owner[j]
        if a != b and sites.element[a] == sites.element[b] and j == first[b] and i != first[a]:
            keep[owner == b] = False
    return keep


def _uncertainty(rounding: float, lattice: np.ndarray) -> float:
    """Å: how far rounding may have moved an atom."""
    return float(rounding * np.linalg.norm(lattice, axis=1).max())


def _check_contacts(crystal: Cell, names: list[str], rounding: float) -> None:
    """Refuse atoms nearer than any bond where the coordinates are too coarse to mean it."""
    if (uncertainty := _uncertainty(rounding, crystal.lattice)) < COARSE:
        return
    pairs, gap = near_pairs(crystal.position, crystal.lattice, CONTACT)
    if len(pairs):
        i, j = pairs[0]
        raise StructureError(
            "bad_position",
            f"{names[i]} and {names[j]} are {gap[0]:.3f} Å apart, closer than any bond; the "
            f"coordinates are given to {uncertainty:.3f} Å only",
        )
