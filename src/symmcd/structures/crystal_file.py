"""Crystals, each under an id: exact asymmetric units, frames of anybody's extxyz file, or objects of Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Protocol

from ase import Atoms
from pymatgen.core import IStructure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.best_of import BestOf
from symmcd.crystallography.orbit import replicate_flat
from symmcd.errors import InputError
from symmcd.storage import read_units
from symmcd.structures.cell import Cell, cells_of
from symmcd.structures.checks import is_sound
from symmcd.structures.convert import from_atoms, from_object
from symmcd.structures.frames import read_generated, space_group_of
from symmcd.structures.names import extxyz_ids
from symmcd.structures.units import existing, reduce_crystal
from symmcd.structures.written_units import best_of_file

OTHER_KINDS = (".cif", ".csv", ".gz", ".json", ".zip")  # formats that only `evaluate` reads


class CrystalFile(Protocol):
    """Crystals in order; crystal i is called ``ids[i]``, and no two have one id."""

    ids: list[str]
    space_group: list[int | None]  # that each was made in; None if the file does not say

    @property
    def best_of(self) -> BestOf | None:
        """Choice that made the crystals; None: there was none, or it is not known."""

    def composition(self, index: int) -> dict[int, int]:
        """Atoms of each element, by atomic number, in the cell that the file has."""

    def cell(self, index: int) -> Cell:
        """All atoms, whatever the geometry; where the cell has no volume, positions are Cartesian."""

    def symmetric(self, index: int, symprec: float) -> AsymmetricUnit:
        """Asymmetric unit.

        Raises:
            SymmetryError: none is found within `symprec` Å, where it has to be searched for.
        """


def read_crystal_file(path: Path) -> CrystalFile:
    """Crystals of units.npz, exact and with the Wyckoff positions they were made with, or of an extxyz file.

    Raises:
        InputError: as `read_units` and `read_generated`; a space group that is none; a file of another kind.
    """
    if path.suffix in OTHER_KINDS:
        raise InputError(
            f"{path}: expected units.npz or an extxyz file; `symmcd evaluate --relax` takes CIFs and tables"
        )
    return _Units(read_units(path)) if path.suffix == ".npz" or path.is_dir() else _Frames(path)


def crystals_of(given: object) -> CrystalFile:
    """Crystals of a file (`read_crystal_file`), asymmetric units, or objects of pymatgen, ASE or ours, or one of these.

    Raises:
        InputError: no crystals, or something that is none.
    """
    if isinstance(given, str | PathLike):
        return read_crystal_file(existing(given, "units.npz or an extxyz file"))
    if isinstance(given, AsymmetricUnits):
        return _Units(given)
    if isinstance(given, Mapping):
        return _Objects({str(name): crystal for name, crystal in given.items()})
    if isinstance(given, IStructure | Atoms | AsymmetricUnit):  # the first is a sequence, too: of sites
        given = [given]
    if not isinstance(given, Iterable):
        raise InputError(f"{given!r:.60}: expected crystals or a path, got {type(given).__name__}")
    return _Objects({f"{i:05d}": crystal for i, crystal in enumerate(given)})


class _Objects:
    """Crystals by name; the symmetry of those that are no asymmetric units is searched for."""

    def __init__(self, crystals: Mapping[str, object]) -> None:
        self.ids = list(crystals)
        self._given = list(crystals.values())
        self._cells = []
        for name, crystal in crystals.items():
            try:
                self._cells.append(from_object(crystal))
            except InputError as error:
                raise InputError(f"crystal {name}: {error}") from None
        self.space_group = [unit.space_group if isinstance(unit, AsymmetricUnit) else None for unit in self._given]
        self.best_of = None

    def composition(self, index: int) -> dict[int, int]:
        return dict(Counter(self._cells[index].element.tolist()))

    def cell(self, index: int) -> Cell:
        return self._cells[index]

    def symmetric(self, index: int, symprec: float) -> AsymmetricUnit:
        unit = self._given[index]
        return unit if isinstance(unit, AsymmetricUnit) else reduce_crystal(self._cells[index], symprec)


class _Units:
    """Asymmetric units, by the ids that crystals.extxyz gives them."""

    def __init__(self, units: AsymmetricUnits) -> None:
        self._units = units
        self.ids = extxyz_ids(units.label.tolist())
        self.space_group: list[int | None] = list(units.space_group.tolist())
        self.best_of = units.best_of

    def composition(self, index: int) -> dict[int, int]:
        return self._units[index].composition

    def cell(self, index: int) -> Cell:
        return cells_of(replicate_flat(self._units.take([index])))[0]

    def symmetric(self, index: int, symprec: float) -> AsymmetricUnit:  # noqa: ARG002  (nothing is searched for)
        return self._units[index]


class _Frames:
    """Frames of an extxyz file; their symmetry is searched for, as they hold rounded coordinates."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._frames = read_generated(path)
        self.ids = [str(frame.info["id"]) for frame in self._frames]
        self.space_group = [space_group_of(path, frame) for frame in self._frames]

    @property
    def best_of(self) -> BestOf | None:
        return best_of_file(self._path)

    def composition(self, index: int) -> dict[int, int]:
        return dict(Counter(self._frames[index].numbers.tolist()))

    def cell(self, index: int) -> Cell:
        frame = self._frames[index]
        if is_sound(frame.cell.array, frame.positions):
            return from_atoms(frame)
        return Cell(frame.cell.array, frame.numbers, frame.positions)

    def symmetric(self, index: int, symprec: float) -> AsymmetricUnit:
        return reduce_crystal(self.cell(index), symprec)
