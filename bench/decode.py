"""Decode (project jointly + replicate) crystals on one core, beside pyxtal's route on some of the same orbits.

    python bench/decode.py --units UNITS.npz [--number 10000] [--noise 0.05] [--scramble] [--pyxtal 60]

Positions of real asymmetric units get normal noise (fractional) and codes stay true, as from a good model;
`--scramble` replaces every code by a random legal one of its group, as from a bad one (more joint assignments).
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.decode import decode
from symmcd.crystallography.lattice import lattice_from_k
from symmcd.crystallography.orbit import replicate_flat
from symmcd.crystallography.projection import nearest_on_images
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.storage import read_units


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=Path, required=True, help="asymmetric units to disturb, from `symmcd reduce`")
    parser.add_argument("--number", type=int, default=10_000)
    parser.add_argument("--noise", type=float, default=0.05, help="standard deviation, fractional")
    parser.add_argument("--scramble", action="store_true", help="random legal codes instead of the true ones")
    parser.add_argument("--pyxtal", type=int, default=60, help="orbits that pyxtal projects too; 0 = none")
    arguments = parser.parse_args()

    start = time.perf_counter()
    table = wyckoff_table()
    load = time.perf_counter() - start
    rng = np.random.default_rng(0)
    units = read_units(arguments.units)
    units = units.take(rng.choice(len(units), arguments.number))
    position = units.position + rng.normal(0, arguments.noise, units.position.shape)
    row = units.wyckoff
    if arguments.scramble:
        first, last = table.start[units.space_group[units.crystal] - 1], table.start[units.space_group[units.crystal]]
        row = first + (rng.random(len(row)) * (last - first)).astype(int)
    code = table.site_symmetry[row]

    start = time.perf_counter()
    decoded = decode(units.space_group, units.k, units.element, position, code, units.start)
    project = time.perf_counter() - start
    crystals = replicate_flat(decoded)
    total = time.perf_counter() - start
    atoms, orbits = len(crystals.element), len(units.element)
    print(f"{platform.processor() or platform.machine()}, one core, numpy {np.__version__}")
    print(f"tables {load:.2f} s; {arguments.number} crystals, {orbits} orbits, {atoms} atoms:")
    print(
        f"decode {total:.2f} s (project {project:.2f} s, {1e6 * project / orbits:.1f} µs an orbit; "
        f"replicate {total - project:.2f} s)"
    )
    if arguments.pyxtal:
        against_pyxtal(units, position, row, rng.choice(orbits, arguments.pyxtal, replace=False), project / orbits)


def against_pyxtal(
    units: AsymmetricUnits, position: np.ndarray, row: np.ndarray, orbits: np.ndarray, ours: float
) -> None:
    """The same orbits one by one through pyxtal's nearest-position search, over all positions with the same code.

    Groups are built before the clock starts.  The distance from point to result is compared too, in Å.
    """
    import pyxtal
    from pyxtal.symmetry import Group, search_cloest_wp

    table = wyckoff_table()
    groups = {int(number): Group(int(number)) for number in np.unique(units.space_group[units.crystal[orbits]])}
    cells = lattice_from_k(units.k)
    start, farther = time.perf_counter(), 0
    for orbit in orbits:
        crystal = units.crystal[orbit]
        number = int(units.space_group[crystal])
        rows = np.arange(table.start[number - 1], table.start[number])
        same = rows[(table.site_symmetry[rows] == table.site_symmetry[row[orbit]]).all(axis=1)]
        best = np.inf
        for letter in table.letter[same]:
            wyckoff = groups[number].get_wyckoff_position(str(letter))
            for operation in wyckoff.ops:
                step = search_cloest_wp(groups[number], wyckoff, operation, position[orbit]) - position[orbit]
                step -= np.rint(step)
                best = min(best, float(np.linalg.norm(step @ cells[crystal])))
        images = np.concatenate([np.arange(table.image_start[r], table.image_start[r + 1]) for r in same])
        metric = np.broadcast_to(cells[crystal] @ cells[crystal].T, (len(images), 3, 3))
        _, squared = nearest_on_images(np.broadcast_to(position[orbit], (len(images), 3)), images, metric)
        farther += best > np.sqrt(squared.min()) + 1e-3
    each = (time.perf_counter() - start) / len(orbits)
    print(
        f"pyxtal {pyxtal.__version__}: {1e3 * each:.1f} ms an orbit over {len(orbits)} orbits, "
        f"{each / ours:.0f} times ours; ",
        end="",
    )
    print(f"its point was farther than ours, by over 0.001 Å, in {farther} of {len(orbits)}")


if __name__ == "__main__":
    main()
