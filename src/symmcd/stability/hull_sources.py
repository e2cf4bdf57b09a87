"""What a convex hull is made of, by its source: a table, the Materials Project's entries, or a potential's energies."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, numbered_labels
from symmcd.crystallography.symmetric_cell import SymmetricCell
from symmcd.device import choose_device, hold_gpu
from symmcd.extensions import POTENTIALS
from symmcd.journal import Journal, Progress
from symmcd.stability import hull_entries
from symmcd.stability.corrections import MISSING, correction
from symmcd.stability.energies import Energy, energies
from symmcd.stability.hull import HullEntry
from symmcd.stability.in_play import within
from symmcd.storage import read_units
from symmcd.structures.cell import Cell
from symmcd.structures.convert import to_structure
from symmcd.structures.data_files import DataFile, data_files
from symmcd.structures.fetch import fetch

RETRIES = 5


@dataclass(frozen=True)
class HullEntries:
    """The reference energies of one hull."""

    name: str  # of the hull, as tables have it
    entries: Sequence[HullEntry]
    failed: Sequence[Mapping[str, str]] = ()  # ``id, formula, origin, status`` of crystals without an energy
    journal: Journal | None = field(default=None, repr=False)  # to be removed when the energies are written


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
    name: str, paths: Sequence[Path], output: Path, device: str, systems: Collection[frozenset[int]] | None = None
) -> HullEntries:
    """Energies of a potential: of each crystal of `paths` as it is, and of each element; resumed after a kill.

    They are corrected (MP2020) where the potential's can be: oxides computed with U and metals without are else on two
    scales.

    Args:
        name: of the potential.
        paths: asymmetric units, npz.
        output: file that they will be written to; the journal lies beside it.
        device: auto, cuda or cpu.
        systems: in play, see `symmcd.stability.in_play`; None for all crystals of `paths`.
    """
    journal = _energies(name, paths, output, device, systems)
    entries = list(hull_entries.elemental_energies(name).values())
    failed = []
    for row in journal.done:
        if row["status"] == "ok":
            entries.append(HullEntry(row["formula"], row["energy"], "energy", row["origin"], row["id"]))
        else:
            failed.append({key: row[key] for key in ("id", "formula", "origin", "status")})
    return HullEntries(name, entries, failed, journal)


def _energies(
    name: str, paths: Sequence[Path], output: Path, device: str, systems: Collection[frozenset[int]] | None
) -> Journal:
    """Energies of the crystals of the files, one row each, in their order."""
    entry = POTENTIALS[name]
    files = [(path.stem, read_units(path)) for path in paths]
    for path, (_, of_file) in zip(paths, files, strict=True):
        if len(of_file) and of_file.label.tolist() == numbered_labels(len(of_file)):
            print(
                f"{path}: its crystals are numbered {of_file.label[0]} … {of_file.label[-1]}, as generated ones are: a "
                "hull of these says nothing about them",
                file=sys.stderr,
            )
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    work: dict[str, Any] = {"units": digests, "potential": [name, entry.version]}
    if systems is not None:
        work["systems"] = sorted(map(sorted, systems))
        files = [(origin, units.take(np.flatnonzero(within(units, systems)))) for origin, units in files]
    journal = Journal(output, work)
    total, skip = sum(len(units) for _, units in files), len(journal.done)
    if skip == total:
        return journal
    hold_gpu(device)
    potential = entry.load(choose_device(device).type)
    batch_size = potential.batch_size
    with Progress(total, skip, "reference crystals") as progress:
        for origin, units in files:
            for start in range(min(skip, len(units)), len(units), batch_size):
                part = units.take(range(start, min(start + batch_size, len(units))))
                crystals = [part[i] for i in range(len(part))]
                found = [
                    _corrected(crystal, energy) if entry.correctable else energy
                    for crystal, energy in zip(crystals, energies(crystals, potential), strict=True)
                ]
                rows = [
                    {
                        "id": str(label),
                        "formula": crystal.formula,
                        "origin": origin,
                        "status": energy.status,
                        "energy": energy.value,
                    }
                    for label, crystal, energy in zip(part.label, crystals, found, strict=True)
                ]
                journal.append(*rows)
                progress.advance(len(part))
            skip = max(0, skip - len(units))
    return journal


def _corrected(crystal: AsymmetricUnit, energy: Energy) -> Energy:
    """An energy with its correction."""
    if energy.value is None:
        return energy
    cell = SymmetricCell(crystal)
    lattice, position = cell.geometry(cell.start)
    value = correction(to_structure(Cell(lattice, cell.element, position)))
    return Energy(MISSING) if value is None else Energy(energy.status, energy.value + value)
