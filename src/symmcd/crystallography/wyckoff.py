"""The 1,731 Wyckoff positions as flat arrays: orbit operations, projectors, images, site-symmetry codes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from symmcd.crystallography.site_symmetry import SYMBOLS
from symmcd.crystallography.space_group import check_number, parse_operations, space_groups
from symmcd.crystallography.table_files import read_table
from symmcd.errors import InputError


@dataclass(frozen=True)
class WyckoffTable:
    """One row per Wyckoff position, group after group, letter ``a`` first.

    A point is in *generator form* when it lies on the position as International Tables print its first member, for
    example (x, 0, 0).  The orbit operations are operations of the space group; applied to a point in generator form
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
    """The table, parsed and expanded on first use; `tools/make_tables.py` makes it."""
    rows, groups = read_table("wyckoff.csv"), space_groups()
    number = np.array([int(row["space_group"]) for row in rows])
    generator = parse_operations([row["generator"] for row in rows])
    offset = groups.start[number - 1]
    orbit, orbit_start = _indices([row["operations"] for row in rows], offset)
    image, image_start = _indices([row["images"] for row in rows], offset)
    image_operation = groups.operations[image]
    nearest = _distinct([row["nearest"] for row in rows], _affine_map)
    table = WyckoffTable(
        start=np.searchsorted(number, np.arange(1, 232)),
        space_group=number,
        letter=np.array([row["letter"] for row in rows]),
        multiplicity=np.array([int(row["multiplicity"]) for row in rows]),
        degrees_of_freedom=np.rint(np.trace(generator, axis1=1, axis2=2)).astype(int),  # T is idempotent
        generator=generator,
        site_symmetry=_distinct([row["site_symmetry"] for row in rows], _code),
        operation_start=orbit_start,
        operations=groups.operations[orbit],
        image_start=image_start,
        image_operation=image_operation,
        image_projector=_conjugate(image_operation, np.repeat(nearest, np.diff(image_start), axis=0)),
    )
    for name in table.__dataclass_fields__:
        getattr(table, name).setflags(write=False)
    return table


def _indices(texts: list[str], offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Global operation indices of lists of indices within a group, and where each list starts."""
    lists = [text.split() for text in texts]
    length = np.array([len(entries) for entries in lists])
    return np.array([int(i) for entries in lists for i in entries]) + np.repeat(offset, length), np.cumsum([0, *length])


def _distinct(texts: list[str], parse: Callable[[str], np.ndarray]) -> np.ndarray:
    """The parsed texts, one row each; each different one is parsed once."""
    row = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    return np.array([parse(text) for text in row])[[row[text] for text in texts]]


def _affine_map(text: str) -> np.ndarray:
    """(3, 4) of ``1/2 1/2 0 0;1/2 1/2 0 0;0 0 1 1/4``."""
    return np.array([[_number(number) for number in row.split()] for row in text.split(";")])


@functools.cache
def _number(text: str) -> float:
    return float(Fraction(text))


def _code(text: str) -> np.ndarray:
    """(15,) classes of the symbols along the axes."""
    return np.array([SYMBOLS.index(symbol) for symbol in text.split()], np.uint8)


def _conjugate(operation: np.ndarray, projector: np.ndarray) -> np.ndarray:
    """g ∘ projector ∘ g⁻¹ for (n, 3, 4) arrays."""
    rotation, translation = operation[:, :, :3], operation[:, :, 3]
    inverse = np.rint(np.linalg.inv(rotation))
    linear = rotation @ projector[:, :, :3] @ inverse
    constant = (rotation @ projector[:, :, 3, None])[..., 0] + translation - (linear @ translation[..., None])[..., 0]
    return np.concatenate([linear, constant[..., None]], axis=2)
