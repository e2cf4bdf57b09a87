"""Formation energies of potentials from their own elements, against each other and the Materials Project's.

    python bench/own_elements.py results/asymmetric_units/test.npz --number 200

For potentials whose energies are on no scale of DFT energies that symmcd has, such as those of r2SCAN: each energy is
counted from the potential's own energies of the elements.  Crystals are drawn at random and computed as they are, in
one thread.  Intervals are 95 %, by bootstrap over crystals.  Between functionals a difference is no error.
"""

from __future__ import annotations

import argparse
import itertools
import platform
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from judges import drawn, judged
from judges_tables import row
from pymatgen.core import Composition

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.symmetric_cell import SymmetricCell
from symmcd.stability.hull_entries import elemental_energies
from symmcd.storage import read_units

PACKAGES = ("torch", "chgnet", "pymatgen", "numpy")


def from_elements(name: str, units: AsymmetricUnits, energy: np.ndarray) -> np.ndarray:
    """Formation energies (n,) in eV/atom of energies (n,); nan where an element has none."""
    table = {symbol: entry.energy_per_atom for symbol, entry in elemental_energies(name).items()}
    parts = [Composition(units[i].formula).fractional_composition.get_el_amt_dict() for i in range(len(units))]
    return energy - np.array([sum(x * table.get(e, np.nan) for e, x in part.items()) for part in parts])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("units", type=Path, help="asymmetric units with formation energies, npz")
    parser.add_argument("--number", type=int, default=200, help="crystals")
    parser.add_argument("--potentials", nargs="+", default=["chgnet", "chgnet-r2scan"], metavar="NAME")
    options = parser.parse_args()
    torch.set_num_threads(1)
    units = drawn(read_units(options.units), options.number)
    atoms = sum(len(SymmetricCell(units[i]).element) for i in range(len(units)))
    known = units.properties["formation_energy_per_atom"]
    print(f"{len(units)} crystals of {options.units.name}, {atoms} atoms in primitive cells; differences in meV/atom\n")
    print("| | mean absolute | mean | median of the absolute | above 50, % | n | CPU, ms/atom |")
    print("|---|---|---|---|---|---|---|")
    found = {"Materials Project": known}
    for name in options.potentials:
        result = judged(name, units, atoms)
        found[name] = from_elements(name, units, result.energy)
        print(row(f"{name} minus the Materials Project", 1000 * (found[name] - known), f"{result.milliseconds:.1f}"))
    for one, other in itertools.combinations(options.potentials, 2):
        print(row(f"{other} minus {one}", 1000 * (found[other] - found[one]), ""))
    versions = ", ".join(f"{package} {metadata.version(package)}" for package in PACKAGES)
    print(f"\nPython {platform.python_version()}, {versions}")


if __name__ == "__main__":
    main()
