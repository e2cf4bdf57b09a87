"""Formation energies of potentials beside the known ones of MP-20's test crystals, and whether they err together.

    python bench/judges.py results/asymmetric_units/test.npz --number 500 \
        --elemental-references hull/mp_elemental_reference_entries.json.gz

Needs the extra `judge`.  Crystals are drawn at random and computed as they are, in one thread.  Energies of potentials
that lack the Materials Project's corrections (MP2020) are printed without and with them.  Elements have their energies
of the Materials Project, so that an error is that of the compound alone.  Intervals are 95 %, by bootstrap over
crystals.  All these potentials were trained on relaxations of the Materials Project, to which most of these crystals
belong: small errors say that energies are on one scale, not that they are right for new crystals.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from pymatgen.core import Composition

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.symmetric_cell import SymmetricCell
from symmcd.extensions import POTENTIALS
from symmcd.stability.corrections import correction
from symmcd.stability.energies import energies
from symmcd.stability.hull_entries import elemental_reference_entries
from symmcd.storage import read_units
from symmcd.structures.cell import Cell
from symmcd.structures.convert import to_structure

SEED = 0
PACKAGES = ("torch", "chgnet", "sevenn", "e3nn", "pymatgen", "numpy")


@dataclass(frozen=True)
class Judged:
    """What a potential says of each crystal; nan where it says nothing."""

    name: str
    energy: np.ndarray  # (n,) eV/atom, without corrections where it lacks them
    milliseconds: float  # of processor time, an atom of the primitive cell


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
    return Judged(name, values, 1000 * seconds / atoms)


def with_interval(statistic: Callable[[np.ndarray], float], number: int, form: str) -> str:
    """A number of crystals by their indices, with the interval of 2,000 samples of them."""
    rng = np.random.default_rng(SEED)
    again = [statistic(rng.integers(0, number, number)) for _ in range(2000)]
    low, high = np.percentile(again, [2.5, 97.5])
    return f"{statistic(np.arange(number)):{form}} [{low:{form}}, {high:{form}}]"


def row(name: str, error: np.ndarray, cost: str) -> str:
    """One line of the table; errors (n,) in meV/atom."""
    there = error[np.isfinite(error)]
    mean = with_interval(lambda i: float(np.abs(there[i]).mean()), len(there), ".1f")
    bias = with_interval(lambda i: float(there[i].mean()), len(there), "+.1f")
    large = 100 * (np.abs(there) > 50).mean()
    return f"| {name} | {mean} | {bias} | {np.median(np.abs(there)):.1f} | {large:.1f} | {len(there)} | {cost} |"


def correlation(a: np.ndarray, b: np.ndarray, how: Callable[[np.ndarray], np.ndarray]) -> str:
    """Correlation coefficient of two errors, or of their ranks."""
    both = np.isfinite(a) & np.isfinite(b)
    x, y = a[both], b[both]
    return with_interval(lambda i: float(np.corrcoef(how(x[i]), how(y[i]))[0, 1]), int(both.sum()), ".2f")


def ranks(values: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(values)).astype(float)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("units", type=Path, help="asymmetric units with formation energies, npz")
    parser.add_argument("--elemental-references", type=Path, required=True, help="json.gz of computed entries")
    parser.add_argument("--number", type=int, default=500, help="crystals")
    parser.add_argument("--potentials", nargs="+", default=["chgnet", "sevennet-0", "sevennet-l3i5"], metavar="NAME")
    options = parser.parse_args()
    torch.set_num_threads(1)
    units = drawn(read_units(options.units), options.number)
    cells = [SymmetricCell(units[i]) for i in range(len(units))]
    structures = [to_structure(Cell(*_lattice_first(cell))) for cell in cells]
    elemental = {e.formula: e.energy_per_atom for e in elemental_reference_entries(options.elemental_references)}
    known = units.properties["formation_energy_per_atom"] + np.array(
        [_of_elements(structure.composition, elemental) for structure in structures]
    )
    shift = np.array([np.nan if (c := correction(s)) is None else c for s in structures])
    atoms = sum(len(structure) for structure in structures)
    print(f"{len(units)} crystals of {options.units.name}, {atoms} atoms in primitive cells\n")
    print("| potential | MAE, meV/atom | mean error | median of the absolute | above 50, % | n | CPU, ms/atom |")
    print("|---|---|---|---|---|---|---|")
    errors = {}
    for name in options.potentials:
        result = judged(name, units, atoms)
        error = 1000 * (result.energy - known)
        if POTENTIALS[name].correctable:
            print(row(f"{name}, without corrections", error, ""))
            error += 1000 * shift
        print(row(name, error, f"{result.milliseconds:.1f}"), flush=True)
        errors[name] = error
    print("\n| errors of | correlation | of ranks |\n|---|---|---|")
    for one, other in itertools.combinations(errors, 2):
        linear = correlation(errors[one], errors[other], lambda x: x)
        print(f"| {one} and {other} | {linear} | {correlation(errors[one], errors[other], ranks)} |")
    versions = ", ".join(f"{package} {metadata.version(package)}" for package in PACKAGES)
    print(f"\nPython {platform.python_version()}, {versions}")


def _lattice_first(cell: SymmetricCell) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    lattice, position = cell.geometry(cell.start)
    return lattice, cell.element, position


def _of_elements(composition: Composition, elemental: dict[str, float]) -> float:
    """Energy of the separate elements, eV/atom."""
    fraction = composition.fractional_composition.get_el_amt_dict()
    return sum(share * elemental[element] for element, share in fraction.items())


if __name__ == "__main__":
    main()
