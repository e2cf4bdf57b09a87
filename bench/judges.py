"""How far potentials are from the known energies of MP-20's test crystals, where they fail, and whether together.

    python bench/judges.py results/asymmetric_units/test.npz --number 2000 --kept judged.npz \
        --hull hull/mp_formation_energies.csv.gz \
        --elemental-references hull/mp_elemental_reference_entries.json.gz

Needs the extra `judge`, and matbench-discovery 1.3.1 for stable and unstable (`judges_stability.py` says how to install
it beside; `--without-matbench` leaves that table out).  Crystals are drawn at random and computed as they are, in one
thread.  `--kept` is a file of the computed energies: what stands in it is not computed again.  Energies of potentials
that lack the Materials Project's corrections (MP2020) are printed without and with them.  Elements have their energies
of the Materials Project, so that an error is that of the compound alone.  Intervals are 95 %, by bootstrap over
crystals.  All these potentials were trained on relaxations of the Materials Project, to which most of these crystals
belong: small errors say that energies are on one scale, not that they are right for new crystals.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import judges_stability
import judges_tables
import numpy as np
import torch
from pymatgen.core import Composition, Structure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.symmetric_cell import SymmetricCell
from symmcd.errors import InputError
from symmcd.extensions import POTENTIALS
from symmcd.stability.corrections import correction
from symmcd.stability.energies import energies
from symmcd.stability.hull import HullEntry
from symmcd.stability.hull_entries import elemental_reference_entries, table_entries
from symmcd.storage import read_arrays, read_units, write_arrays
from symmcd.structures.cell import Cell
from symmcd.structures.convert import to_structure

SEED = 0
PACKAGES = ("torch", "chgnet", "sevenn", "e3nn", "pymatgen", "numpy")


@dataclass(frozen=True)
class Judged:
    """What a potential says of each crystal; nan where it says nothing."""

    energy: np.ndarray  # (n,) eV/atom, without corrections where it lacks them
    milliseconds: float  # of processor time, an atom of the primitive cell
    version: str  # of the weights, and of the packages that computed it


def drawn(units: AsymmetricUnits, number: int) -> AsymmetricUnits:
    """Random ones of those whose formation energy is known."""
    known = np.flatnonzero(np.isfinite(units.properties["formation_energy_per_atom"]))
    chosen = np.random.default_rng(SEED).choice(known, min(number, len(known)), replace=False)
    return units.take(np.sort(chosen))


def judged(name: str, units: AsymmetricUnits, atoms: int) -> Judged:
    potential = POTENTIALS[name].load("cpu")
    crystals = [units[i] for i in range(len(units))]
    energies(crystals[:2], potential)  # the first call compiles
    began, found = time.process_time(), []
    for start in range(0, len(crystals), potential.batch_size):
        found += energies(crystals[start : start + potential.batch_size], potential)
    seconds = time.process_time() - began
    for unit, energy in zip(crystals, found, strict=True):
        if energy.value is None:
            print(f"{name}: {unit.formula} {energy.status}")
    values = np.array([np.nan if energy.value is None else energy.value for energy in found])
    return Judged(values, 1000 * seconds / atoms, _version(name))


class Kept:
    """Corrections and energies of drawn crystals, and the file that they are kept in, if any."""

    def __init__(self, path: Path | None, units: AsymmetricUnits) -> None:
        """Read what the file has.

        Raises:
            InputError: it is of other crystals.
        """
        self.path, self.label = path, units.label
        self.correction: np.ndarray | None = None  # (n,) eV/atom, nan where there is none
        self.of: dict[str, Judged] = {}
        if path is None or not path.exists():
            return
        read = read_arrays(path)
        if not np.array_equal(read["label"], units.label):
            raise InputError(f"{path}: energies of other crystals than those drawn; name another file, or delete it")
        self.correction = read["correction"]
        cost, version = read["milliseconds"].tolist(), read["version"].tolist()
        for i, name in enumerate(read["potential"].tolist()):
            self.of[name] = Judged(read["energy"][i], cost[i], version[i])

    def judged(self, name: str, units: AsymmetricUnits, atoms: int) -> Judged:
        """Of the file if it has it, by the same weights; else computed and written."""
        weights = POTENTIALS[name].version
        if name not in self.of:
            self.of[name] = judged(name, units, atoms)
            self.write()
        elif not self.of[name].version.startswith(f"{weights}; "):
            raise InputError(f"{self.path}: {name} by {self.of[name].version}, now {weights}; name another file")
        return self.of[name]

    def corrections(self, structures: Sequence[Structure]) -> np.ndarray:
        """(n,) eV/atom."""
        if self.correction is None:
            self.correction = np.array([np.nan if (c := correction(s)) is None else c for s in structures])
        return self.correction

    def write(self) -> None:
        if self.path is None:
            return
        found = list(self.of.values())
        arrays = {
            "label": self.label,
            "correction": self.correction,
            "potential": list(self.of),
            "energy": [one.energy for one in found],
            "milliseconds": [one.milliseconds for one in found],
            "version": [one.version for one in found],
        }
        write_arrays(self.path, {name: np.asarray(value) for name, value in arrays.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("units", type=Path, help="asymmetric units with formation energies, npz")
    parser.add_argument("--elemental-references", type=Path, required=True, help="json.gz of computed entries")
    parser.add_argument("--hull", type=Path, required=True, help="csv.gz of formation energies, with material_id")
    parser.add_argument("--kept", type=Path, help="npz of computed energies, read and written")
    parser.add_argument("--number", type=int, default=500, help="crystals")
    parser.add_argument("--potentials", nargs="+", default=["chgnet", "sevennet-0", "sevennet-l3i5"], metavar="NAME")
    parser.add_argument("--without-matbench", action="store_true", help="no table of stable and unstable")
    options = parser.parse_args()
    stable_metrics = None if options.without_matbench else judges_stability.stable_metrics()
    torch.set_num_threads(1)
    units = drawn(read_units(options.units), options.number)
    structures = [_structure(SymmetricCell(units[i])) for i in range(len(units))]
    references = elemental_reference_entries(options.elemental_references)
    table = table_entries(options.hull)
    formation = units.properties["formation_energy_per_atom"]
    known = formation + np.array([_of_elements(structure.composition, references) for structure in structures])
    atoms = sum(len(structure) for structure in structures)
    kept = Kept(options.kept, units)
    shift = 1000 * kept.corrections(structures)
    print(f"{len(units)} crystals of {options.units.name}, {atoms} atoms in primitive cells\n")
    print(judges_tables.HEAD)
    errors = {}  # of formation energies (n,), meV/atom
    for name in options.potentials:
        result = kept.judged(name, units, atoms)
        errors[name] = 1000 * (result.energy - known)
        if POTENTIALS[name].correctable:
            print(judges_tables.row(f"{name}, without corrections", errors[name], ""))
            errors[name] = errors[name] + shift
        print(judges_tables.row(name, errors[name], f"{result.milliseconds:.1f}"), flush=True)
    print()
    if len(errors) > 1:
        print(f"{judges_tables.pairs(errors)}\n")
    groupings = judges_tables.groupings(units, table)
    for grouping in groupings:
        print(f"{judges_tables.by_class(grouping, errors)}\n")
    print(f"{judges_tables.high_symmetry(units.space_group, groupings[1].of, errors)}\n")
    if stable_metrics is not None:
        own = judges_stability.above_others(units, table)
        print(judges_stability.tables(units.properties["e_above_hull"], own, errors, stable_metrics))
    for version in sorted({kept.of[name].version.partition("; ")[2] for name in options.potentials}):
        print(f"Energies by {version}")
    discovery = "" if stable_metrics is None else f", matbench-discovery {judges_stability.version()}"
    print(f"Tables by {_packages()}{discovery}")


def _version(name: str) -> str:
    return f"{POTENTIALS[name].version}; {_packages()}"


def _packages() -> str:
    return ", ".join([f"Python {platform.python_version()}", *(f"{p} {metadata.version(p)}" for p in PACKAGES)])


def _structure(cell: SymmetricCell) -> Structure:
    lattice, position = cell.geometry(cell.start)
    return to_structure(Cell(lattice, cell.element, position))


def _of_elements(composition: Composition, references: Sequence[HullEntry]) -> float:
    """Energy of the separate elements, eV/atom."""
    elemental = {entry.formula: entry.energy_per_atom for entry in references}
    fraction = composition.fractional_composition.get_el_amt_dict()
    return sum(share * elemental[element] for element, share in fraction.items())


if __name__ == "__main__":
    main()
