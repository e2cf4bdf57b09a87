"""Crystal structure prediction: how often a composition alone leads to the crystal of the test set.

    python bench/prediction.py --units results-cpu/asymmetric_units/test.npz --number 500 [--candidates 20] \
        [--checkpoint results-cpu/training/seed0/denoiser.safetensors] [--any-size]

For each of `--number` random crystals, `Generator.predict` is told the composition and, as in the literature, how many
atoms the primitive cell has (`--any-size`: not told).  Printed for the first 1, 5, 20 candidates: whether the crystal's
own Wyckoff positions and elements are among them (up to the choice of origin and axes), and whether pymatgen's matcher
finds the crystal among their geometries (stol 0.5, ltol 0.3, angle_tol 10, the settings of DiffCSP and those after it),
with the r.m.s. displacement of the best match, in (volume per atom)^⅓.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from symmcd import load_pretrained
from symmcd.crystallography import content
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.orbit import replicate_flat
from symmcd.crystallography.space_group import lattice_points
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.diffusion.generator import POOL
from symmcd.diffusion.staged.arrangements import Composition
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences
from symmcd.metrics.intervals import wilson
from symmcd.storage import read_units
from symmcd.structures.convert import crystals_to_structures

FIRST = (1, 5, 20)


def compositions(units: AsymmetricUnits, any_size: bool) -> Iterator[Composition]:
    """What the predictor is told of each crystal."""
    multiplicity = wyckoff_table().multiplicity[units.wyckoff]
    for index, group in enumerate(units.space_group.tolist()):
        orbits = slice(units.start[index], units.start[index + 1])
        atoms: Counter[int] = Counter()
        for element, number in zip(units.element[orbits].tolist(), multiplicity[orbits].tolist(), strict=True):
            atoms[element] += number
        divisor = int(np.gcd.reduce(list(atoms.values())))
        size = None if any_size else sum(atoms.values()) // lattice_points(group)
        yield Composition({element: number // divisor for element, number in atoms.items()}, size)


def displacement(pair: tuple[Structure, Structure]) -> float:
    """R.m.s. displacement between two structures that match, else infinite."""
    found = StructureMatcher(stol=0.5, ltol=0.3, angle_tol=10).get_rms_dist(*pair)
    return np.inf if found is None else float(found[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=Path, required=True, help="crystals to find again, npz")
    parser.add_argument("--number", type=int, default=500, help="of them, drawn at random")
    parser.add_argument("--candidates", type=int, default=20)
    parser.add_argument("--pool", type=int, default=POOL)
    parser.add_argument("--checkpoint", default="mp20", help="of a staged model (default: the shipped weights)")
    parser.add_argument("--any-size", action="store_true", help="do not tell the atoms of the primitive cell")
    arguments = parser.parse_args()
    units = read_units(arguments.units)
    chosen = np.random.default_rng(0).choice(len(units), min(arguments.number, len(units)), replace=False)
    units = units.take(chosen)
    told = list(compositions(units, arguments.any_size))
    generator = load_pretrained(str(arguments.checkpoint))
    print(f"{len(told)} crystals (torch {torch.__version__}, {platform.machine()}, {torch.get_num_threads()} threads)")

    began = time.perf_counter()
    found = generator.arrangements(told, arguments.candidates, pool=arguments.pool)
    owner = np.repeat(np.arange(len(told)), [len(arrangements) for arrangements in found])
    crystals = WyckoffSequences.concatenate([arrangements.sequences for arrangements in found])
    print(f"{len(crystals)} candidates in {time.perf_counter() - began:.0f} s", flush=True)
    log_probability = torch.cat([arrangements.log_probability for arrangements in found])
    drafts = crystals.drafts(torch.arange(len(crystals)), log_probability, seed=0)
    made = AsymmetricUnits.from_units(generator.with_geometries(drafts))
    print(f"with their geometries {time.perf_counter() - began:.0f} s\n", flush=True)

    truth = [s.get_primitive_structure() for s in crystals_to_structures(replicate_flat(units))]
    guess = [s.get_primitive_structure() for s in crystals_to_structures(replicate_flat(made))]
    with ProcessPoolExecutor() as pool:
        pairs = [(g, truth[index]) for g, index in zip(guess, owner.tolist(), strict=True)]
        distance = np.array(list(pool.map(displacement, pairs, chunksize=50)))
    own, theirs = content.arrangements(units), content.arrangements(made)

    print("| first | own positions and elements among them | matched | r.m.s. displacement |\n|---|---|---|---|")
    for first in (number for number in FIRST if number <= arguments.candidates):
        rows = [np.flatnonzero(owner == index)[:first] for index in range(len(told))]
        same = np.array([own[index] in {theirs[row] for row in some} for index, some in enumerate(rows)])
        best = np.array([distance[some].min(initial=np.inf) for some in rows])
        matched = np.isfinite(best)
        shown = " | ".join(f"{100 * v.mean():.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
                           for v in (same, matched) for low, high in [wilson(int(v.sum()), len(v))])  # fmt: skip
        print(f"| {first} | {shown} | {best[matched].mean():.3f} |")


if __name__ == "__main__":
    main()
