"""Anybody's crystals by name, from a file, a folder or objects of Python; those that cannot be used, with the reason.

They are a `symmcd.structures.crystal_file.CrystalFile` too, for relaxation.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from ase import Atoms
from pymatgen.core import IStructure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.best_of import BestOf
from symmcd.errors import InputError
from symmcd.storage import read_units
from symmcd.structures.cell import Cell
from symmcd.structures.convert import from_object
from symmcd.structures.crystal import StructureError
from symmcd.structures.files import cif_files, files_of
from symmcd.structures.names import extxyz_ids, unique
from symmcd.structures.read import read_structures
from symmcd.structures.units import reduce_crystal
from symmcd.structures.written_units import best_of_file, written_units

OF_GENERATE = ("crystals.csv", "crystals.extxyz", "units.npz", "unrelaxed.npz")  # beside the CIFs in its folder


@dataclass(frozen=True, eq=False)
class OwnCrystal:
    """A crystal that came in under a name, or why it cannot be used."""

    name: str
    crystal: Cell | StructureError
    formula: str | None = None  # formula of a crystal that cannot be used, if known
    unit: AsymmetricUnit | None = None  # exact, that the crystal was made from, where it is known


class OwnCrystals:
    """Crystals to relax, by ids that a line of extended xyz can hold; see `CrystalFile`.

    Attributes:
        ids: of all crystals.
        space_group: that each was made in; None if it is not known.
        failure: why a crystal cannot be relaxed, by its index.
        best_of: how they were chosen, where they were.
    """

    def __init__(
        self, crystals: Sequence[OwnCrystal], failure: Mapping[int, str], best_of: BestOf | None = None
    ) -> None:
        """Keep `crystals`."""
        self._crystals = crystals
        self.best_of = best_of
        self.failure = failure
        self.ids = extxyz_ids([crystal.name for crystal in crystals])
        self.space_group = [None if crystal.unit is None else crystal.unit.space_group for crystal in crystals]

    def composition(self, index: int) -> dict[int, int]:
        """Atoms of each element, by atomic number, in the cell that came in; empty for one that could not be read."""
        return dict(Counter(self.cell(index).element.tolist())) if self.is_read(index) else {}

    def is_read(self, index: int) -> bool:
        """Return whether the atoms are known, fit for relaxation or not."""
        crystal = self._crystals[index]
        return crystal.unit is not None or not isinstance(crystal.crystal, StructureError)

    def cell(self, index: int) -> Cell:
        """All atoms: of the exact asymmetric unit, where it is known.

        Raises:
            StructureError: the crystal cannot be used.
        """
        crystal = self._crystals[index]
        if crystal.unit is not None:
            return from_object(crystal.unit)
        if isinstance(crystal.crystal, StructureError):
            raise crystal.crystal
        return crystal.crystal

    def symmetric(self, index: int, symprec: float) -> AsymmetricUnit:
        """Asymmetric unit: the exact one, or what is found within `symprec` Å.

        Raises:
            SymmetryError: none is found.
        """
        unit = self._crystals[index].unit
        return reduce_crystal(self.cell(index), symprec) if unit is None else unit


def entries_of(structures: object) -> list[OwnCrystal]:
    """Entries of structures, atoms or units, by name if a mapping, or of one of them.

    Raises:
        InputError: something that is no crystal at all.
    """
    return [_entered(name, crystal) for name, crystal in _named(structures)]


def _named(structures: object) -> list[tuple[str, object]]:
    """Name and content of each entry, whatever it may be.

    Raises:
        InputError: no entries at all.
    """
    if isinstance(structures, Mapping):
        return [(str(name), crystal) for name, crystal in structures.items()]
    if isinstance(structures, IStructure | Atoms | AsymmetricUnit):  # a structure is a sequence, too: of sites
        return [("00000", structures)]
    if isinstance(structures, AsymmetricUnits):
        return [(str(structures.label[i]), structures[i]) for i in range(len(structures))]
    if not isinstance(structures, Iterable):
        raise InputError(f"evaluate({structures!r:.60}): expected crystals or a path, got {type(structures).__name__}")
    return [(f"{i:05d}", crystal) for i, crystal in enumerate(structures)]


def _entered(name: str, crystal: object) -> OwnCrystal:
    """The crystal, or why it cannot be used.

    Raises:
        InputError: it is no crystal at all.
    """
    try:
        return OwnCrystal(name, from_object(crystal), unit=crystal if isinstance(crystal, AsymmetricUnit) else None)
    except StructureError as error:
        formula = crystal.composition.reduced_formula if isinstance(crystal, IStructure) and len(crystal) else None
        return OwnCrystal(name, error, formula)
    except InputError as error:
        raise InputError(f"crystal {name}: {error}") from None


def read_entries(path: Path, *, exact: bool = False) -> list[OwnCrystal]:
    """Entries of a file or folder; files that were not read are printed.

    Args:
        path: whatever `read_structures` reads, or asymmetric units (npz).
        exact: look for the units.npz that the crystals were written from (`written_units`).

    Raises:
        InputError: it cannot be read, or no crystals.
    """
    if path.suffix.lower() == ".npz":
        units = read_units(path)
        names = unique([str(label) for label in units.label])
        return entries_of({name: units[i] for i, name in enumerate(names)})
    whole = _whole_set(path)
    if whole != path:
        print(f"no .cif in {path}; reading {whole.name} in it")
    path = whole
    entries = [OwnCrystal(name, crystal) for name, crystal in read_structures(path)]
    _tell_of_others(path)
    if exact and (known := written_units(path)):
        print(f"{path}: {len(known)} of {len(entries)} crystals are read from units.npz, with exact coordinates")
        entries = [dataclasses.replace(entry, unit=known.get(entry.name)) for entry in entries]
    return entries


def best_of(structures: object) -> BestOf | None:
    """Choice that made the crystals of a file, a folder or a set of units, if known; None: there was none.

    Files say it by the units.npz that they were written from (`written_units.best_of_file`).

    Raises:
        InputError: a units.npz that cannot be read.
    """
    if isinstance(structures, AsymmetricUnits):
        return structures.best_of
    return best_of_file(_whole_set(Path(structures))) if isinstance(structures, str | PathLike) else None


def _whole_set(path: Path) -> Path:
    """The file with the crystals of a folder without CIFs, such as `symmcd generate` writes of more than 300."""
    if path.is_dir() and not cif_files(path):
        for name in ("crystals.extxyz", "cif.zip"):
            if (path / name).is_file():
                return path / name
    return path


def _tell_of_others(path: Path) -> None:
    """Say which files of a folder were not read: only its CIFs are."""
    others = sorted(p.name for p in files_of(path) if p.suffix.lower() != ".cif") if path.is_dir() else []
    if "units.npz" in others:  # beside CIFs of `symmcd generate`: the same crystals, nobody's own files
        others = [name for name in others if name not in OF_GENERATE]
    if others:
        named = ", ".join(others[:3]) + (", …" if len(others) > 3 else "")
        print(f"not read: {len(others)} files of {path} that are not .cif ({named}); evaluate them separately")
