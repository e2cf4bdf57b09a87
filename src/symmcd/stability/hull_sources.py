"""Sources of a convex hull: a table, the Materials Project's entries, or a potential's energies."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits, numbered_labels
from symmcd.crystallography.content import formulas
from symmcd.stability import hull_entries
from symmcd.stability.hull import HullEntry
from symmcd.stability.in_play import within
from symmcd.stability.reference_energies import reference_energies
from symmcd.storage import read_units
from symmcd.structures.data_files import DataFile, data_files
from symmcd.structures.fetch import fetch

RETRIES = 5


@dataclass(frozen=True)
class HullEntries:
    """The reference energies of one hull."""

    name: str  # name of the hull in tables
    entries: Sequence[HullEntry]
    failed: Sequence[Mapping[str, str]] = ()  # ``id, formula, origin, status`` of crystals without an energy


def from_table(path: Path, elemental_references: Path) -> HullEntries:
    """Formation energies of a csv, and the elemental energies that turn a potential's energy into one.

    Raises:
        InputError: a file that cannot be used.
    """
    entries = hull_entries.elemental_reference_entries(elemental_references) + hull_entries.table_entries(path)
    return HullEntries(f"table {path.name}", entries)


def matbench_file() -> DataFile:
    """The Materials Project's relaxed structures and energies of 2023-02-07, as matbench-discovery publishes them.

    Name and address are those of `DataFiles` in its 1.3.1 wheel; its data-files.yml has the MD5 of the same file.
    """
    (file,) = data_files("matbench-discovery").values()
    return file


def from_matbench(path: Path | None, url: str, folder: Path) -> HullEntries:
    """Corrected total energies of matbench-discovery's computed entries.

    Args:
        path: the file; None to download it to `folder` and verify it.
        url: another address of the file than its own; empty for none.
        folder: where it goes.

    Raises:
        InputError: it cannot be used or downloaded.
    """
    if path is None:
        file = matbench_file()
        path = folder / file.name
        advice = (
            f"Check hull.url. Without a network give hull.path the file {file.name} of {file.url}, or choose "
            "hull.source = chgnet, which needs none"
        )
        fetch(url or file.url, path, file.checksum, RETRIES, digest=file.digest, advice=advice)
    return HullEntries("matbench-discovery", hull_entries.computed_entries(path))


def from_potential(
    name: str,
    paths: Sequence[Path],
    device: str,
    cache: Path | None = None,
    systems: Collection[frozenset[int]] | None = None,
) -> HullEntries:
    """`from_units` of files of asymmetric units (npz), which the entries name as their origin.

    Raises:
        InputError: a file that cannot be read, or is no cache.
    """
    return from_units(name, [(path.stem, _read(path)) for path in paths], device, cache, systems)


def from_units(
    name: str,
    sets: Sequence[tuple[str, AsymmetricUnits]],
    device: str,
    cache: Path | None = None,
    systems: Collection[frozenset[int]] | None = None,
) -> HullEntries:
    """Energies of a potential: of each crystal of some sets as it is, and of each element.

    They are corrected (MP2020) where the potential's can be: oxides computed with U and metals without are else on two
    scales.

    Args:
        name: of the potential.
        sets: known crystals, each set with its name.
        device: auto, cuda or cpu.
        cache: SQLite file of energies already known, see `symmcd.stability.reference_energies`; None for none.
        systems: in play, see `symmcd.stability.in_play`; None for all crystals.

    Raises:
        InputError: a file that is no cache.
    """
    if systems is not None:
        sets = [(origin, units.take(np.flatnonzero(within(units, systems)))) for origin, units in sets]
    # a hull takes crystals however they were chosen
    units = AsymmetricUnits.concatenate([replace(of_set, best_of=None) for _, of_set in sets])
    origins = [origin for origin, of_set in sets for _ in range(len(of_set))]
    entries = list(hull_entries.elemental_energies(name).values())
    failed = []
    found = reference_energies(name, units, device, cache)
    for label, formula, origin, energy in zip(units.label.tolist(), formulas(units), origins, found, strict=True):
        if energy.value is not None:
            entries.append(HullEntry(formula, energy.value, "energy", origin, label))
        else:
            failed.append({"id": label, "formula": formula, "origin": origin, "status": energy.status})
    return HullEntries(name, entries, failed)


def _read(path: Path) -> AsymmetricUnits:
    """Crystals of a file; it is said where they look like generated ones."""
    units = read_units(path)
    if len(units) and units.label.tolist() == numbered_labels(len(units)):
        print(
            f"{path}: its crystals are numbered {units.label[0]} … {units.label[-1]}, like generated "
            "crystals: a hull of generated crystals cannot judge them",
            file=sys.stderr,
        )
    return units
