"""Asymmetric units: one representative per orbit, with the Wyckoff position it lies on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field, replace

import numpy as np

from symmcd.crystallography.best_of import BestOf
from symmcd.crystallography.composition import reduced_formula
from symmcd.crystallography.consistency import check_apart, settled
from symmcd.crystallography.flat_orbits import FlatOrbits, joined_starts, orbits_of
from symmcd.crystallography.given_arrays import array_of, coefficients_of, numbers_of_symbols, symmetric_cell
from symmcd.crystallography.lattice import k_from_lattice, lattice_from_k
from symmcd.crystallography.space_group import lattice_points, number_of
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.errors import InputError


@dataclass(frozen=True, eq=False)
class AsymmetricUnit:
    """One crystal in the standard setting of International Tables A (unique axis b, hexagonal axes, origin choice 2).

    A unit is consistent: its lattice is one of the group's family, and its representatives are on their Wyckoff
    positions, so that replication makes a crystal of the group.  A representative may be given as any atom of its
    orbit; it is moved to the one in generator form.  What is a little off, as rounded numbers are, is put right:
    representatives within `consistency.POSITION_TOLERANCE` (Å) and lattices within `LENGTH_TOLERANCE` (Å) and
    `ANGLE_TOLERANCE` (degrees) of it; what is exact to 1e-9 stays as it is.

    Args:
        space_group: its number, or a symbol as ``Pnma``.
        element: atomic numbers or symbols.
        apart: refuse atoms on one point.  Without, two orbits may lie on one another, or an orbit on a point of more
            symmetry than its letter has, as it can happen to generated crystals.

    Raises:
        InputError: no such space group, letter or element; no orbits; values that are missing, too many or not finite;
            a lattice that is flat, left-handed or of another family; a representative off its position; atoms on one
            point.
    """

    space_group: int
    lattice: np.ndarray  # (3, 3) rows a, b, c of the conventional standard cell, Å, right-handed
    element: np.ndarray  # (M,) atomic number per orbit
    letter: tuple[str, ...]  # (M,) Wyckoff letter per orbit
    position: np.ndarray  # (M, 3) representative in the generator form of its position, fractional, [0, 1)
    apart: InitVar[bool] = True

    def __post_init__(self, apart: bool) -> None:
        number = number_of(self.space_group)
        if not isinstance(self.letter, Iterable):
            raise InputError(f"letter: {self.letter!r}, expected one Wyckoff letter per orbit")
        letter = tuple(self.letter)
        element = array_of("element", numbers_of_symbols(self.element)).reshape(-1)
        if not ((np.abs(element) <= 1000) & (element == np.rint(element))).all():
            raise InputError(f"element: {element.tolist()}, expected atomic numbers from 1 to 118")
        lattice, position = array_of("lattice", self.lattice), array_of("position", self.position)
        if lattice.size != 9 or position.size % 3:
            raise InputError(f"{lattice.shape=} and {position.shape=}: expected (3, 3) and (orbits, 3)")
        lattice, position = lattice.reshape(3, 3), position.reshape(-1, 3)
        if not len(element) == len(letter) == len(position):
            raise InputError(f"{len(element)=}, {len(letter)=} and {len(position)=} must agree")
        if not len(element):
            raise InputError("an asymmetric unit needs at least one orbit")
        table = wyckoff_table()
        wyckoff = np.array([table.row(number, name) for name in letter])
        groups, orbits = np.array([number]), np.array([0, len(element)])
        given = coefficients_of(lattice)
        element = element.astype(int)
        k, position = settled(groups, given, orbits, element, wyckoff, position)
        if k is not given:  # turned as the lattice was
            lattice = symmetric_cell(k) @ np.linalg.inv(symmetric_cell(given)) @ lattice
        if apart:
            check_apart(lattice, element, wyckoff, position)
        self._set(number, lattice, element, letter, position)
        for array in (self.lattice, self.element, self.position):
            array.setflags(write=False)

    @classmethod
    def exact(
        cls, space_group: int, lattice: np.ndarray, element: np.ndarray, letter: tuple[str, ...], position: np.ndarray
    ) -> AsymmetricUnit:
        """A unit of arrays that are known to be in order: nothing is looked at, and nothing copied."""
        unit = object.__new__(cls)
        unit._set(space_group, lattice, element, letter, position)
        return unit

    def _set(
        self, space_group: int, lattice: np.ndarray, element: np.ndarray, letter: tuple[str, ...], position: np.ndarray
    ) -> None:
        # past the frozen __setattr__; at once, as thousands are made
        vars(self).update(space_group=space_group, lattice=lattice, element=element, letter=letter, position=position)

    @property
    def wyckoff(self) -> np.ndarray:
        """(M,) rows of the Wyckoff table."""
        table = wyckoff_table()
        return np.array([table.row(self.space_group, letter) for letter in self.letter], dtype=int)

    @property
    def multiplicity(self) -> np.ndarray:
        """(M,) atoms of each orbit in the conventional cell."""
        return wyckoff_table().multiplicity[self.wyckoff]

    @property
    def site_symmetry(self) -> np.ndarray:
        """(M, 15) class indices into ``site_symmetry.SYMBOLS``, of these very representatives."""
        return wyckoff_table().site_symmetry[self.wyckoff]

    @property
    def number_of_atoms(self) -> int:
        """Atoms in the conventional cell."""
        return int(self.multiplicity.sum())

    @property
    def primitive_atoms(self) -> int:
        """Atoms in the primitive cell."""
        return self.number_of_atoms // lattice_points(self.space_group)

    @property
    def composition(self) -> dict[int, int]:
        """Atoms of each element (by atomic number) in the conventional cell."""
        totals: dict[int, int] = {}
        for element, count in zip(self.element.tolist(), self.multiplicity.tolist(), strict=True):
            totals[element] = totals.get(element, 0) + count
        return totals

    @property
    def formula(self) -> str:
        """Reduced formula, such as ``LiFePO4``."""
        return reduced_formula(self.composition)

    @property
    def template(self) -> str:
        """Space group and occupied Wyckoff letters, as in ``225_a_b`` (paper, Table 1)."""
        return "_".join([str(self.space_group), *sorted(self.letter)])


@dataclass(frozen=True, eq=False)
class AsymmetricUnits(FlatOrbits):
    """Many asymmetric units, orbits one after the other; crystal i has orbits ``start[i]:start[i+1]``.

    The arrays are believed: `check` is for those that come from outside.  Labels need not differ; where crystals are
    told apart by them, as in tables, they must.
    """

    space_group: np.ndarray  # (B,)
    k: np.ndarray  # (B, 6) coefficients of the log of the lattice; files call it `lattice`
    start: np.ndarray  # (B + 1,)
    element: np.ndarray  # (A,) atomic number
    wyckoff: np.ndarray  # (A,) row of the Wyckoff table
    position: np.ndarray  # (A, 3) fractional, in generator form
    label: np.ndarray  # (B,) str
    properties: Mapping[str, np.ndarray] = field(default_factory=dict)  # (B,) each
    best_of: BestOf | None = None  # how all of them were chosen; None: they were not, or nobody has said so

    def __getitem__(self, index: int) -> AsymmetricUnit:
        orbits = slice(self.start[index], self.start[index + 1])
        return AsymmetricUnit.exact(
            int(self.space_group[index]),
            lattice_from_k(self.k[index][None])[0],
            self.element[orbits],
            tuple(wyckoff_table().letter[self.wyckoff[orbits]].tolist()),
            self.position[orbits],
        )

    def name(self, index: int) -> str:
        return str(self.label[index])

    def check(self) -> AsymmetricUnits:
        """These units, put right as `AsymmetricUnit` does: lattices and representatives that are a little off.

        Atoms on one point are accepted where a position has room for them: metrics count such crystals.

        Raises:
            InputError: what `AsymmetricUnit` refuses; the message names the crystal by its label.
        """
        k, position = settled(
            self.space_group, self.k, self.start, self.element, self.wyckoff, self.position,
            lambda i: f"crystal {str(self.label[i])[:80]!r}: ",
        )  # fmt: skip
        return replace(self, k=k, position=position)

    def take(self, indices: Sequence[int] | np.ndarray) -> AsymmetricUnits:
        """The crystals at `indices`, in that order."""
        indices = np.asarray(indices, dtype=int)
        start, rows = orbits_of(self.start, indices)
        return AsymmetricUnits(
            self.space_group[indices], self.k[indices], start, self.element[rows], self.wyckoff[rows],
            self.position[rows], self.label[indices], {name: v[indices] for name, v in self.properties.items()},
            self.best_of,
        )  # fmt: skip

    @classmethod
    def from_units(cls, units: Iterable[AsymmetricUnit], labels: Sequence[str] | None = None) -> AsymmetricUnits:
        """Flat arrays of a list of units; labels default to zero-padded numbers.

        Raises:
            InputError: not one label a unit, or two that are the same.
        """
        units = list(units)
        if labels is not None and len(labels) != len(units):
            raise InputError(f"{len(labels)} labels for {len(units)} asymmetric units; give one for each")
        if labels is not None and len(set(labels)) != len(units):
            label, count = Counter(labels).most_common(1)[0]
            raise InputError(f"label {label!r} names {count} of the asymmetric units; give each a different one")
        if not units:
            return cls.empty()
        return cls(
            space_group=np.array([u.space_group for u in units]),
            k=k_from_lattice(np.stack([u.lattice for u in units])),
            start=np.concatenate([[0], np.cumsum([len(u.element) for u in units])]),
            element=np.concatenate([u.element for u in units]),
            wyckoff=np.concatenate([u.wyckoff for u in units]),
            position=np.concatenate([u.position for u in units]),
            label=np.array(numbered_labels(len(units)) if labels is None else labels, dtype=np.str_),
        )

    @classmethod
    def empty(cls) -> AsymmetricUnits:
        """No crystals."""
        none = np.zeros(0, int)
        return cls(none, np.zeros((0, 6)), np.zeros(1, int), none, none, np.zeros((0, 3)), np.zeros(0, np.str_))

    @classmethod
    def concatenate(cls, parts: Sequence[AsymmetricUnits]) -> AsymmetricUnits:
        """All crystals of `parts`, in order; properties that every part has are kept.

        Raises:
            InputError: parts that were chosen in different ways, of which nothing true could be said together.
        """
        if not parts:
            return cls.empty()
        best_of = parts[0].best_of
        if other := next((part for part in parts if part.best_of != best_of), None):
            raise InputError(
                "crystals that were chosen in different ways cannot be joined into one set: "
                f"{' and '.join(_how(part.best_of) for part in (parts[0], other))}"
            )
        shared = set.intersection(*(set(p.properties) for p in parts))
        return cls(
            start=joined_starts([p.start for p in parts]),
            properties={name: np.concatenate([p.properties[name] for p in parts]) for name in sorted(shared)},
            best_of=best_of,
            **{
                name: np.concatenate([getattr(p, name) for p in parts])
                for name in ("space_group", "k", "element", "wyckoff", "position", "label")
            },
        )


def _how(best_of: BestOf | None) -> str:
    if best_of is None:
        return "one draft per crystal"
    return f"the best of {best_of.drafts} drafts (stability model {best_of.stability_model[:12] or 'in no file'})"


def numbered_labels(number: int) -> list[str]:
    """``00000`` … : crystals are named by a zero-padded number that stays the same through every stage."""
    return labels_of(np.arange(number), number - 1)


def labels_of(numbers: np.ndarray, largest: int) -> list[str]:
    """Names of the crystals of these numbers, where `largest` is the largest of the run."""
    width = max(5, len(str(largest)))
    return [f"{i:0{width}d}" for i in numbers.tolist()]
