"""The 1,731 Wyckoff positions as flat arrays: orbit operations, projectors, images, site-symmetry codes."""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass
from importlib import resources

import numpy as np

from symmcd.crystallography.site_symmetry import codes, element_matrix
from symmcd.crystallography.space_group import AXES, check_number, parse_triplet, space_groups
from symmcd.errors import InputError


@dataclass(frozen=True)
class WyckoffTable:
    """One row per Wyckoff position, group after group, letter ``a`` first.

    A point is in *generator form* when it lies on the position as International Tables print its first member, for
    example (x, 0, 0).  ``orbit_operations`` are operations of the space group; applied to a point in generator form
    they make each member of its orbit once.  An *image* of a position is one of the distinct affine subspaces that
    the group and the lattice make of it; the first is the generator itself.
    """

    start: np.ndarray  # (231,) rows of group g are start[g-1]:start[g]
    space_group: np.ndarray  # (P,) 1..230
    letter: np.ndarray  # (P,) str; 'A' is the 27th letter, of group 47
    multiplicity: np.ndarray  # (P,) atoms in the conventional cell
    degrees_of_freedom: np.ndarray  # (P,) 0..3
    generator: np.ndarray  # (P, 3, 4) template: [T | c] with x = T u + c, T idempotent
    site_symmetry: np.ndarray  # (P, 15) uint8, code of a point in generator form
    operation_start: np.ndarray  # (P + 1,)
    operations: np.ndarray  # (14433, 3, 4) orbit operations
    image_start: np.ndarray  # (P + 1,)
    image_operation: np.ndarray  # (I, 3, 4) operation that takes the generator subspace to this image
    image_projector: np.ndarray  # (I, 3, 4) [Q | c]: nearest point of the image, by averaging over its stabiliser
    image_site_symmetry: np.ndarray  # (I, 15) uint8, code of a point on this very image

    def row(self, space_group: int, letter: str) -> int:
        """Row of a position.

        Raises:
            InputError: the group has no such letter.
        """
        first, last = self.start[check_number(space_group) - 1], self.start[space_group]
        rows = np.flatnonzero(self.letter[first:last] == letter)
        if not len(rows):
            letters = "".join(self.letter[first:last])
            raise InputError(f"space group {space_group} has no Wyckoff position {letter!r}; it has {letters}")
        return int(first + rows[0])

    def orbit(self, wyckoff: np.ndarray, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Atoms of representatives in generator form, orbit after orbit, each representative first.

        The table holds operations of the group that take a point in generator form to each member of its orbit once,
        so this is the full group orbit, without a loop and without merging.

        Args:
            wyckoff: (A,) rows of this table.
            position: (A, 3) fractional.

        Returns:
            The atoms (N, 3), fractional, [0, 1), and the representative (N,) that each was made of.
        """
        multiplicity = self.multiplicity[wyckoff]
        owner = np.repeat(np.arange(len(wyckoff)), multiplicity)
        first = np.concatenate([[0], np.cumsum(multiplicity)])
        row = np.arange(first[-1]) - first[owner] + self.operation_start[wyckoff[owner]]
        operation = self.operations[row]
        return wrap((operation[:, :, :3] @ position[owner, :, None])[..., 0] + operation[:, :, 3]), owner


def wrap(position: np.ndarray) -> np.ndarray:
    """Fractional coordinates in [0, 1); values that rounding leaves a hair below 1 become 0."""
    wrapped = position % 1.0
    return np.where(wrapped > 1 - 1e-12, 0.0, wrapped)


@functools.cache
def wyckoff_table() -> WyckoffTable:
    """The table, parsed and expanded on first use."""
    text = (resources.files("symmcd.crystallography") / "tables/wyckoff.csv").read_text(encoding="ascii")
    rows = list(csv.DictReader(text.splitlines()))
    groups = space_groups()
    number = np.array([int(row["space_group"]) for row in rows])
    generator = np.array([parse_triplet(row["generator"]) for row in rows])
    offset = groups.start[number - 1]
    orbit, orbit_start = _indices([row["operations"] for row in rows], offset)
    image, image_start = _indices([row["images"] for row in rows], offset)
    projector, elements = _stabilisers(number, generator)
    owner = np.repeat(np.arange(len(rows)), np.diff(image_start))
    image_operation = groups.operations[image]
    table = WyckoffTable(
        start=np.searchsorted(number, np.arange(1, 232)),
        space_group=number,
        letter=np.array([row["letter"] for row in rows]),
        multiplicity=multiplicities(),
        degrees_of_freedom=np.linalg.matrix_rank(generator[:, :, :3]),
        generator=generator,
        site_symmetry=codes(elements),
        operation_start=orbit_start,
        operations=groups.operations[orbit],
        image_start=image_start,
        image_operation=image_operation,
        image_projector=_conjugate(image_operation, projector[owner]),
        image_site_symmetry=codes(_rotate_elements(image_operation, elements[owner])),
    )
    for name in table.__dataclass_fields__:
        getattr(table, name).setflags(write=False)
    return table


@functools.cache
def multiplicities() -> np.ndarray:
    """(P,) atoms of an orbit in the conventional cell, without the rest of the table, which takes longer to make."""
    text = (resources.files("symmcd.crystallography") / "tables/wyckoff.csv").read_text(encoding="ascii")
    found = np.array([int(line.split(",", 3)[2]) for line in text.splitlines()[1:]])
    found.setflags(write=False)
    return found


def _indices(texts: list[str], offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Global operation indices of lists of indices within a group, and where each list starts."""
    lists = [np.array(text.split(), dtype=int) for text in texts]
    start = np.concatenate([[0], np.cumsum([len(entries) for entries in lists])])
    return np.concatenate([entries + o for entries, o in zip(lists, offset, strict=True)]), start


def _stabilisers(number: np.ndarray, generator: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (P, 3, 4) and symmetry elements (P, 15, 9) of the operations that fix every point in generator form."""
    groups = space_groups()
    flags = element_matrix(groups.order, groups.axis)
    projector, elements = np.empty_like(generator), np.zeros((len(number), *flags.shape[1:]), bool)
    for group in range(1, 231):
        rows = np.flatnonzero(number == group)
        here = slice(groups.start[group - 1], groups.start[group])
        operations = groups.operations[here]
        moved = np.einsum("oij,pjk->poik", operations[:, :, :3], generator[rows])
        moved[..., 3] += operations[:, :, 3]
        difference = generator[rows, None] - moved
        shift = np.rint(difference[..., 3])  # the lattice translation that must go with the operation
        difference[..., 3] -= shift
        fixes = (np.abs(difference) < 1e-9).all(axis=(2, 3))
        count = fixes.sum(axis=1)[:, None, None]
        summed = np.einsum("po,oik->pik", fixes.astype(float), operations)
        summed[..., 3] += np.einsum("po,poi->pi", fixes.astype(float), shift)
        projector[rows] = summed / count
        elements[rows] = np.einsum("po,oae->pae", fixes.astype(np.int32), flags[here].astype(np.int32)) > 0
    return projector, elements


def _conjugate(operation: np.ndarray, projector: np.ndarray) -> np.ndarray:
    """g ∘ projector ∘ g⁻¹ for (n, 3, 4) arrays."""
    rotation, translation = operation[:, :, :3], operation[:, :, 3]
    inverse = np.rint(np.linalg.inv(rotation))
    linear = rotation @ projector[:, :, :3] @ inverse
    constant = (rotation @ projector[:, :, 3, None])[..., 0] + translation - (linear @ translation[..., None])[..., 0]
    return np.concatenate([linear, constant[..., None]], axis=2)


def _rotate_elements(operation: np.ndarray, elements: np.ndarray) -> np.ndarray:
    """Symmetry elements (n, 15, 9) of a site moved by an operation: axes go along, kinds stay."""
    moved = np.einsum("nij,aj->nai", np.rint(operation[:, :, :3]).astype(int), AXES)
    target = (np.cross(moved[:, :, None, :], AXES[None, None]) == 0).all(axis=3)  # (n, 15 from, 15 to)
    return np.einsum("nab,nae->nbe", target.astype(np.int32), elements.astype(np.int32)) > 0
