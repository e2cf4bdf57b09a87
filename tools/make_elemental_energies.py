"""Make src/symmcd/stability/tables/elemental_energies.csv: CHGNet's lowest energy of each element.

Candidates are the elemental prototypes of the AFLOW library that pymatgen ships.  All small ones are scanned over
volume, the best few relaxed; molecular and large ground states are added by name.  Takes about an hour on one core:

    python tools/make_elemental_energies.py OUT.csv
"""

from __future__ import annotations

import csv
import sys
import warnings
from pathlib import Path

import numpy as np
from pymatgen.analysis.prototypes import AFLOW_PROTOTYPE_LIBRARY
from pymatgen.core import Element, Structure

from symmcd.stability.energies import energies
from symmcd.stability.potential import KNOWN_ELEMENTS, VERSION, load_chgnet, primitive_cell
from symmcd.stability.relaxation import relax

VOLUME_FACTORS = (0.55, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.6)
RELAXED_CANDIDATES = 3
DIATOMIC = {"H": 0.74, "N": 1.10, "O": 1.21, "F": 1.42, "Cl": 1.99, "Br": 2.28, "I": 2.67}  # Å
MOLECULAR = ("A_cP8_205_c", "A_cP8_198_2a", "A_tP4_136_f", "A_mC4_12_i", "A_hR2_166_c", "A_oC8_64_f", "A_tP16_138_j")
LARGE = {
    "B": ("A_hR12_166_2h",), "P": ("A_oC8_64_f",), "S": ("A_oF128_70_4h", "A_hP3_152_a"), "Se": ("A_mP32_14_8e",),
    "Mn": ("A_cI58_217_ac2g", "A_cP20_213_cd"), "Np": ("A_oP8_62_2c",), "Pu": ("A_mP16_11_8e",),
}  # fmt: skip


def main(output: Path) -> None:
    warnings.filterwarnings("ignore")
    model = load_chgnet("cpu")
    prototypes = [
        (entry["tags"]["aflow"], primitive_cell(entry["snl"].structure))
        for entry in AFLOW_PROTOTYPE_LIBRARY
        if len(entry["snl"].structure.composition) == 1
    ]
    with output.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["element", "energy_per_atom", "volume_per_atom", "prototype", "model"])
        for number in sorted(KNOWN_ELEMENTS):
            symbol = Element.from_Z(number).symbol
            relaxed = []
            for name, start in candidates(symbol, prototypes, model):
                result = relax(start, model, steps=300, fmax=0.02, seconds=120)
                if result.energy_relaxed is not None and result.structure is not None:
                    volume = result.structure.volume / len(result.structure)
                    relaxed.append((result.energy_relaxed, volume, name, result.status))
            energy, volume, name, _ = min(relaxed)
            writer.writerow([symbol, f"{energy:.5f}", f"{volume:.3f}", name, f"CHGNet {VERSION}"])
            file.flush()
            print(symbol, sorted(relaxed), flush=True)


def candidates(symbol: str, prototypes: list[tuple[str, Structure]], model: object) -> list[tuple[str, Structure]]:
    """Crystals to relax: the best of all small prototypes at their best volume, and those given by name."""
    expected = float(Element(symbol).molar_volume or 15.0) / 0.60221  # cm3/mol -> Å3/atom
    scan = [
        (name, with_volume(prototype, symbol, factor * expected))
        for name, prototype in prototypes
        if len(prototype) <= 4
        for factor in VOLUME_FACTORS
    ]
    values = [e.value if e.value is not None else np.inf for e in energies([s for _, s in scan], model, 64)]
    chosen: dict[str, Structure] = {}
    for index in np.argsort(values):
        if len(chosen) < RELAXED_CANDIDATES:
            chosen.setdefault(scan[index][0], scan[index][1])
    found = list(chosen.items())
    for name, prototype in prototypes:
        if name in MOLECULAR and symbol in DIATOMIC:
            distances = prototype.get_neighbor_list(8.0)[3]
            start = with_volume(prototype, symbol, prototype.volume / len(prototype))
            found.append((name, with_volume(start, symbol, start.volume / len(start) * (DIATOMIC[symbol] / distances.min()) ** 3)))
        if name in LARGE.get(symbol, ()):
            found.append((name, with_volume(prototype, symbol, expected)))
    return found


def with_volume(prototype: Structure, symbol: str, volume_per_atom: float) -> Structure:
    crystal = Structure(prototype.lattice, [symbol] * len(prototype), prototype.frac_coords)
    crystal.scale_lattice(volume_per_atom * len(crystal))
    return crystal


if __name__ == "__main__":
    main(Path(sys.argv[1]))
