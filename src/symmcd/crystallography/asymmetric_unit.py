"""Asymmetric units: one representative per orbit, with the Wyckoff position it lies on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from symmcd.crystallography.lattice import k_from_lattice, lattice_from_k
from symmcd.crystallography.space_group import check_number
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.errors import InputError


@dataclass(frozen=True, eq=False)
class AsymmetricUnit:
    """One crystal in the standard setting of International Tables A (unique axis b, hexagonal axes, origin choice 2).

    Raises:
        InputError: lengths disagree, or the group has no such Wyckoff letter.
    """

    space_group: int
    lattice: np.ndarray  # (3, 3) rows a, b, c of the conventional standard cell, Å
    element: np.ndarray  # (M,) atomic number per orbit
    letter: tuple[str, ...]  # (M,) Wyckoff letter per orbit
    position: np.ndarray  # (M, 3) representative in the generator form of its position, fractional, [0, 1)

    def __post_init__(self) -> None:
        check_number(self.space_group)
        object.__setattr__(self, "lattice", np.asarray(self.lattice, float).reshape(3, 3))
        object.__setattr__(self, "element", np.asarray(self.element, int).reshape(-1))
        object.__setattr__(self, "position", np.asarray(self.position, float).reshape(-1, 3))
        object.__setattr__(self, "letter", tuple(self.letter))
        if not len(self.element) == len(self.letter) == len(self.position):
            raise InputError(f"{len(self.element)=}, {len(self.letter)=} and {len(self.position)=} must agree")
        _ = self.wyckoff  # unknown letters are refused here, not later

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
    def composition(self) -> dict[int, int]:
        """Atoms of each element (by atomic number) in the conventional cell."""
        totals: dict[int, int] = {}
        for element, count in zip(self.element.tolist(), self.multiplicity.tolist(), strict=True):
            totals[element] = totals.get(element, 0) + count
        return totals

    @property
    def template(self) -> str:
        """Space group and occupied Wyckoff letters, as in ``225_a_b`` (paper, Table 1)."""
        return "_".join([str(self.space_group), *sorted(self.letter)])


@dataclass(frozen=True, eq=False)
class AsymmetricUnits:
    """Many asymmetric units, orbits one after the other; crystal i has orbits ``start[i]:start[i+1]``."""

    space_group: np.ndarray  # (B,)
    lattice: np.ndarray  # (B, 6) k
    start: np.ndarray  # (B + 1,)
    element: np.ndarray  # (A,) atomic number
    wyckoff: np.ndarray  # (A,) row of the Wyckoff table
    position: np.ndarray  # (A, 3) fractional, in generator form
    label: np.ndarray  # (B,) str
    properties: Mapping[str, np.ndarray] = field(default_factory=dict)  # (B,) each

    def __len__(self) -> int:
        return len(self.space_group)

    def __getitem__(self, index: int) -> AsymmetricUnit:
        orbits = slice(self.start[index], self.start[index + 1])
        return AsymmetricUnit(
            int(self.space_group[index]),
            lattice_from_k(self.lattice[index][None])[0],
            self.element[orbits],
            tuple(wyckoff_table().letter[self.wyckoff[orbits]].tolist()),
            self.position[orbits],
        )

    @property
    def crystal(self) -> np.ndarray:
        """(A,) index of the crystal that each orbit belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.start))

    @property
    def number_of_atoms(self) -> np.ndarray:
        """(B,) atoms in each conventional cell."""
        return (
            np.add.reduceat(wyckoff_table().multiplicity[self.wyckoff], self.start[:-1])
            if len(self)
            else np.zeros(0, int)
        )

    def take(self, indices: Sequence[int] | np.ndarray) -> AsymmetricUnits:
        """The crystals at `indices`, in that order."""
        indices = np.asarray(indices, dtype=int)
        counts = np.diff(self.start)[indices]
        start = np.concatenate([[0], np.cumsum(counts)])
        rows = np.repeat(self.start[indices] - start[:-1], counts) + np.arange(start[-1])
        return AsymmetricUnits(
            self.space_group[indices], self.lattice[indices], start, self.element[rows], self.wyckoff[rows],
            self.position[rows], self.label[indices], {k: v[indices] for k, v in self.properties.items()},
        )  # fmt: skip

    @classmethod
    def from_units(cls, units: Iterable[AsymmetricUnit], labels: Sequence[str] | None = None) -> AsymmetricUnits:
        """Flat arrays of a list of units; labels default to zero-padded numbers."""
        units = list(units)
        if not units:
            return cls.empty()
        return cls(
            space_group=np.array([u.space_group for u in units]),
            lattice=k_from_lattice(np.stack([u.lattice for u in units])),
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
        """All crystals of `parts`, in order; properties that every part has are kept."""
        if not parts:
            return cls.empty()
        starts = [
            parts[0].start,
            *(p.start[1:] + o for p, o in zip(parts[1:], np.cumsum([p.start[-1] for p in parts]), strict=False)),
        ]
        shared = set.intersection(*(set(p.properties) for p in parts))
        return cls(
            start=np.concatenate(starts),
            properties={k: np.concatenate([p.properties[k] for p in parts]) for k in sorted(shared)},
            **{
                name: np.concatenate([getattr(p, name) for p in parts])
                for name in ("space_group", "lattice", "element", "wyckoff", "position", "label")
            },
        )


def numbered_labels(number: int) -> list[str]:
    """``00000`` … : crystals are named by a zero-padded number that stays the same through every stage."""
    width = max(5, len(str(number - 1)))
    return [f"{i:0{width}d}" for i in range(number)]
