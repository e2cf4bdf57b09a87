"""Make a potential's table of elemental energies: its energy of each element in its own crystal.

The tables are src/symmcd/potentials/chgnet/elemental_energies{,_r2scan}.csv and
sevennet/elemental_energies_{0,l3i5}.csv.

The crystal structure of each element at low temperature (text books; polymorphs of a few meV do not matter here) is
taken from the AFLOW prototypes that pymatgen ships, scaled to the element's molar volume and relaxed: by the
potential's own optimiser where it has one, else as the stage `relax` does.  Lower energies can be found: CHGNet has
minima for loose fluorine, chlorine, iodine and neon that lie 0.06 to 0.14 eV/atom below their crystals and are
artefacts, which is why no search is made, and why the relaxation is no tighter (fluorine below 0.05 eV/Å slides to
one).  Takes three minutes on one core for CHGNet, two for SevenNet-0, four for SevenNet-l3i5:

    python tools/make_elemental_energies.py sevennet-0 OUT.csv
"""

from __future__ import annotations

import argparse
import csv
import sys
import warnings
from pathlib import Path

import numpy as np
from pymatgen.analysis.prototypes import AFLOW_PROTOTYPE_LIBRARY
from pymatgen.core import Element, Structure

from symmcd.extensions import POTENTIALS, PotentialEntry
from symmcd.potentials.potential import Potential
from symmcd.stability.batch_relaxation import relax_many
from symmcd.stability.geometry import primitive_cell
from symmcd.stability.outcome import Limits, Relaxation
from symmcd.stability.own_optimiser import relax_each

# AFLOW label and Strukturbericht symbol (or mineral) of the prototype -> elements that crystallise so.
# α-fluorine's own type is not in the library, but is α-oxygen's with a doubled cell; ortho-hydrogen is as α-nitrogen.
GROUND_STATES = {
    ("A_hP2_194_c", "A3"): "He Be Mg Sc Ti Co Zn Y Zr Tc Ru Cd Gd Tb Dy Ho Er Tm Lu Hf Re Os Tl",
    ("A_cF4_225_a", "A1"): "Ne Al Ar Ca Ni Cu Kr Sr Rh Pd Ag Xe Ce Yb Ir Pt Au Pb Ac Th",
    ("A_cI2_229_a", "A2"): "Li Na K V Cr Fe Rb Nb Mo Cs Ba Eu Ta W",
    ("A_hP4_194_ac", "A3'"): "La Pr Nd Pm",
    ("A_hR3_166_ac", "C19"): "Sm",
    ("A_cF8_227_a", "A4"): "Si Ge",
    ("A_tI4_141_a", "A5"): "Sn",
    ("A_hP4_194_bc", "A9"): "C",
    ("A_hR2_166_c", "A7"): "As Sb Bi",
    ("A_hP3_152_a", "A8"): "Se Te",
    ("A_oC8_64_f", "A11"): "Ga",
    ("A_oC8_64_f", "A17"): "P",
    ("A_oC8_64_f", "A14"): "Cl Br I",
    ("A_tI2_139_a", "A6"): "In",
    ("A_tI2_139_a", "A_a"): "Pa",
    ("A_hR1_166_a", "A10"): "Hg",
    ("A_oC4_63_c", "A20"): "U",
    ("A_oP8_62_2c", "A_c"): "Np",
    ("A_mP16_11_8e", "alpha Pu"): "Pu",
    ("A_cI58_217_ac2g", "A12"): "Mn",
    ("A_hR12_166_2h", "alpha boron"): "B",
    ("A_oF128_70_4h", "A16"): "S",
    ("A_cP8_205_c", "Cubic alpha N2"): "H N",
    ("A_mC4_12_i", "alpha oxygen"): "O F",
}
BOND_LENGTH = {"H": 0.74, "N": 1.10, "O": 1.21, "F": 1.42, "Cl": 1.99, "Br": 2.28, "I": 2.67}  # Å, of the molecule
VOLUME = {"He": 14.0, "O": 17.4, "Ac": 37.5}  # Å3/atom, where the molar volume of pymatgen is missing or that of a gas


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("potential", choices=list(POTENTIALS))
    parser.add_argument("output", type=Path, help="csv")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    entry = POTENTIALS[options.potential]
    potential = entry.load("cpu")
    rows = {}
    for (label, name), symbols in GROUND_STATES.items():
        prototype = find_prototype(label, name)
        for symbol in symbols.split():
            if Element(symbol).Z not in entry.elements:
                continue
            result = relaxed(start_crystal(prototype, symbol), entry, potential)
            if result.status != "converged" or result.structure is None or result.energy_relaxed is None:
                sys.exit(f"{symbol} as {name}: {result}")
            volume = result.structure.volume / len(result.structure)
            rows[Element(symbol).Z] = [
                symbol,
                f"{result.energy_relaxed:.5f}",
                f"{volume:.3f}",
                label,
                f"{entry.label} {entry.version}",
            ]
            print(*rows[Element(symbol).Z], result.steps, result.space_group_relaxed, flush=True)
    if rows.keys() != entry.elements:
        sys.exit(f"elements differ: {rows.keys() ^ entry.elements}")
    with options.output.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["element", "energy_per_atom", "volume_per_atom", "prototype", "model"])
        writer.writerows(rows[number] for number in sorted(rows))


def relaxed(crystal: Structure, entry: PotentialEntry, potential: Potential) -> Relaxation:
    """A crystal in the minimum that the first optimiser of the potential's own finds, or FIRE."""
    limits = Limits(seconds=1200)
    for method in entry.optimisers:
        ((_, result),) = relax_each([crystal], potential, method, entry.optimiser(method), limits)
        return result
    ((_, result),) = relax_many([crystal], potential, "unconstrained", limits=limits)
    return result


def find_prototype(label: str, name: str) -> Structure:
    """The one prototype of this AFLOW label and Strukturbericht symbol or mineral name."""
    (found,) = (
        entry["snl"].structure
        for entry in AFLOW_PROTOTYPE_LIBRARY
        if entry["tags"]["aflow"] == label and name in (entry["tags"]["strukturbericht"], entry["tags"]["mineral"])
    )
    return primitive_cell(found)


def start_crystal(prototype: Structure, symbol: str) -> Structure:
    """The prototype made of `symbol`, at its molar volume, its molecules (if any) at their own bond length."""
    volume = VOLUME.get(symbol) or float(Element(symbol).molar_volume) / 0.60221  # cm3/mol -> Å3/atom
    crystal = Structure(prototype.lattice, [symbol] * len(prototype), prototype.frac_coords)
    crystal.scale_lattice(volume * len(crystal))
    if symbol not in BOND_LENGTH:
        return crystal
    positions = crystal.cart_coords
    for atom, site in enumerate(crystal):
        partner = min(crystal.get_neighbors(site, 6.0), key=lambda neighbour: neighbour.nn_distance)
        bond = partner.coords - site.coords
        positions[atom] += bond * (1 - BOND_LENGTH[symbol] / np.linalg.norm(bond)) / 2
    return Structure(crystal.lattice, crystal.species, positions, coords_are_cartesian=True)


if __name__ == "__main__":
    main()
