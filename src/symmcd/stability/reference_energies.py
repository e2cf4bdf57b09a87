"""Energies of reference crystals as they are, each computed once and known from then on."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.symmetric_cell import SymmetricCell
from symmcd.device import choose_device, hold_gpu
from symmcd.extensions import POTENTIALS
from symmcd.journal import Progress
from symmcd.stability.corrections import MISSING, correction
from symmcd.stability.energies import Energy, energies
from symmcd.stability.energy_cache import EnergyCache, content_keys
from symmcd.structures.cell import Cell
from symmcd.structures.convert import to_structure


def reference_energies(name: str, units: AsymmetricUnits, device: str, cache: Path | None) -> list[Energy]:
    """Energy of each crystal, in eV/atom, with its correction (MP2020) where the potential's can be corrected.

    A crystal that the potential fails with has a status; the first error of each kind is printed with its name.

    Args:
        name: of the potential, in the registry.
        units: crystals, named by their labels.
        device: auto, cuda or cpu.
        cache: SQLite file, created if missing, to which results go within a second and a batch, so that a killed run
            continues; several jobs may share it.  None for none.

    Raises:
        InputError: a file that is no cache, or a potential that cannot be loaded.
        Exception: an unforeseen error that is the same for all crystals before there is any energy.
    """
    with EnergyCache(cache) as known:
        found = _computed(name, units, device, known)
        return _corrected(units, found, known) if POTENTIALS[name].correctable else found


def _computed(name: str, units: AsymmetricUnits, device: str, known: EnergyCache) -> list[Energy]:
    """Energies as the potential gives them; equal crystals are computed once."""
    entry = POTENTIALS[name]
    keys = content_keys(units, name, entry.version)
    found = _known(keys, known)
    first = {key: row for row, key in reversed(list(enumerate(keys))) if key not in found}
    left = sorted(first.values())
    there = sum(key in found for key in keys)
    print(
        f"{len(keys)} reference crystals: {there} energies of {name} known, {len(keys) - there} to compute", flush=True
    )
    if not left:
        return [found[key] for key in keys]
    hold_gpu(device)
    potential = entry.load(choose_device(device).type)
    printed: set[str] = set()
    with Progress(len(left), 0, "reference crystals") as progress:
        for start in range(0, len(left), potential.batch_size):
            part = units.take(left[start : start + potential.batch_size])
            proven = any(energy.status == "ok" for energy in found.values())
            results = energies([part[i] for i in range(len(part))], potential, proven=proven)
            _report(part, results, printed)
            computed = dict(zip((keys[row] for row in left[start : start + len(part)]), results, strict=True))
            known.put_all(computed)
            # an error holds on to what its call had in memory
            found |= {key: dataclasses.replace(energy, error=None) for key, energy in computed.items()}
            progress.advance(len(part))
    return [found[key] for key in keys]


def _known(keys: Iterable[bytes], known: EnergyCache) -> dict[bytes, Energy]:
    pairs = ((key, known.get(key)) for key in dict.fromkeys(keys))
    return {key: energy for key, energy in pairs if energy is not None}


def _report(units: AsymmetricUnits, results: Sequence[Energy], printed: set[str]) -> None:
    """Print the first unforeseen error of each kind."""
    for index, energy in enumerate(results):
        if energy.error is not None and energy.status not in printed:
            printed.add(energy.status)
            message = str(energy.error).replace("\n", " ")
            print(
                f"reference crystal {units.label[index]} ({units[index].formula}): {energy.status}: {message} (further "
                "ones of this kind: in the column `status`)",
                file=sys.stderr, flush=True,
            )  # fmt: skip


def _corrected(units: AsymmetricUnits, found: Sequence[Energy], known: EnergyCache) -> list[Energy]:
    """Energies with their corrections, which are kept as well: they take milliseconds each."""
    keys = content_keys(units, "correction MP2020", metadata.version("pymatgen"))
    shift = _known((key for key, energy in zip(keys, found, strict=True) if energy.value is not None), known)
    left = {key: row for row, key in enumerate(keys) if key not in shift and found[row].value is not None}
    if left:
        with Progress(len(left), 0, "corrections") as progress:
            for key, row in left.items():
                shift[key] = _correction(units[row])
                known.put(key, shift[key])
                progress.advance(1)
    return [_sum(energy, shift.get(key)) for key, energy in zip(keys, found, strict=True)]


def _correction(crystal: AsymmetricUnit) -> Energy:
    """The correction of a crystal, in eV/atom."""
    cell = SymmetricCell(crystal)
    lattice, position = cell.geometry(cell.start)
    value = correction(to_structure(Cell(lattice, cell.element, position)))
    return Energy(MISSING) if value is None else Energy("ok", value)


def _sum(energy: Energy, shift: Energy | None) -> Energy:
    """A corrected energy; without a correction it is on no scale that a hull has."""
    if energy.value is None or shift is None:
        return energy
    return shift if shift.value is None else Energy("ok", energy.value + shift.value)
