"""Time and values of the evaluation: fingerprints against matminer, whole Tables 1 and 2, controls of coverage.

    SYMMCD_MP20=FOLDER python bench/fingerprints.py ratio [--crystals 60]
    SYMMCD_MP20=FOLDER python bench/fingerprints.py chain --units units.npz --train train.npz --test test.npz
    SYMMCD_MP20=FOLDER python bench/fingerprints.py controls --train train.npz --val val.npz --test test.npz

`ratio` runs the plain route (matminer on every site of the primitive cell) and ours on the same random MP-20 test
crystals in one process; `chain` times score (two shards at once), fingerprint and summarise as commands on two cores;
`controls` scores MP-20 val, and MP-20 val with its elements shuffled, against MP-20 test.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np


def ratio(number: int) -> None:
    from matminer.featurizers.composition import ElementProperty
    from matminer.featurizers.site import CrystalNNFingerprint

    from symmcd import replicate
    from symmcd.crystallography.content import amounts
    from symmcd.crystallography.orbit import replicate_flat
    from symmcd.metrics.fingerprints import structure_fingerprint
    from symmcd.metrics.magpie import composition_fingerprints
    from symmcd.metrics.order_parameters import LABELS
    from symmcd.structures.cell import cells_of
    from symmcd.structures.read import read_rows
    from symmcd.structures.reduction import reduce_chunk

    rows = list(read_rows(Path(os.environ["SYMMCD_MP20"]) / "test.csv.gz"))
    drawn = np.sort(np.random.default_rng(0).choice(len(rows), number, replace=False))
    units, _, _ = reduce_chunk([rows[i] for i in drawn], symprec=0.1, max_orbits=60, max_atoms=400)
    structures = [replicate(units[i]).get_primitive_structure() for i in range(len(units))]
    plain, magpie = CrystalNNFingerprint.from_preset("ops"), ElementProperty.from_preset("magpie", impute_nan=False)
    composition_fingerprints(amounts(units.take(np.array([0]))))  # reads Magpie's tables
    warnings.simplefilter("ignore")
    times = {"plain": 0.0, "ours": 0.0}
    expected, found = [], []
    for structure, cell in zip(structures, cells_of(replicate_flat(units)), strict=True):
        start = time.perf_counter()
        expected.append(np.mean([plain.featurize(structure, i) for i in range(len(structure))], axis=0))
        middle = time.perf_counter()
        found.append(structure_fingerprint(cell))
        times["plain"] += middle - start
        times["ours"] += time.perf_counter() - middle
    start = time.perf_counter()
    theirs = np.array([magpie.featurize(s.composition) for s in structures])
    middle = time.perf_counter()
    ours = composition_fingerprints(amounts(units))
    end = time.perf_counter()
    difference = np.abs(np.array(found) - np.array(expected))
    body = LABELS.index("body-centered cubic CN_8")
    atoms, orbits = sum(map(len, structures)), len(units.element)
    print(f"{len(units)} crystals, {atoms} atoms in primitive cells, {orbits} orbits")
    for name, seconds in times.items():
        print(f"structure {name}: {1e3 * seconds / len(units):.2f} ms a crystal")
    print(f"structure ratio: {times['plain'] / times['ours']:.1f}")
    each = difference.max(axis=1)
    print(
        f"largest difference, a crystal: median {np.median(each):.1e}, 95 % {np.quantile(each, 0.95):.1e},"
        f" max {each.max():.1e}"
    )
    print(f"… without the entry 'body-centered cubic CN_8': max {np.delete(difference, body, axis=1).max():.1e}")
    print(f"Euclidean distance, a crystal: max {np.linalg.norm(difference, axis=1).max():.1e} (cutoff 0.4)")
    print(
        f"composition matminer: {1e3 * (middle - start) / len(units):.2f} ms a crystal,"
        f" ours {1e3 * (end - middle) / len(units):.3f}"
    )
    print(f"composition, largest difference: {np.nanmax(np.abs(ours - theirs)):.1e}")


def chain(units: Path, train: Path, test: Path, number: int) -> None:
    from symmcd.crystallography.orbit import replicate_flat
    from symmcd.storage import read_units, write_units
    from symmcd.structures.write import write_extxyz

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        crystals = read_units(units)
        crystals = crystals.take(np.arange(min(number, len(crystals))))
        labels = np.array([f"{i:05d}" for i in range(len(crystals))])
        crystals = dataclasses.replace(crystals, label=labels)
        write_units(folder / "units.npz", crystals)
        write_extxyz(folder / "crystals.extxyz", replicate_flat(crystals), crystals)
        print(f"{len(crystals)} crystals, {len(crystals.element)} orbits, {crystals.number_of_atoms.sum()} atoms")
        total = before = cpu = 0.0
        stages = {
            "fingerprint the test set, once": [["fingerprint", test, "--output", folder / "test.npz"]],
            "score, two shards": [
                ["score", folder / "crystals.extxyz", "--output", folder / f"shard{i}.csv", "--shard", f"{i}/2"]
                for i in range(2)
            ],
            "fingerprint": [["fingerprint", folder / "units.npz", "--output", folder / "generated.npz"]],
            "summarise": [
                ["summarise", folder / "shard0.csv", folder / "shard1.csv", "--units", folder / "units.npz"]
                + ["--train", train, "--reference", test, "--fingerprints", folder / "generated.npz"]
                + ["--reference-fingerprints", folder / "test.npz", "--output", folder / "metrics"]
            ],
        }
        for stage, commands in stages.items():
            start = time.perf_counter()
            running = [
                subprocess.Popen([sys.executable, "-m", "symmcd", *map(str, c)], stderr=subprocess.DEVNULL)
                for c in commands
            ]
            assert not any(process.wait() for process in running), stage
            seconds = time.perf_counter() - start
            now = os.times()
            cpu = now.children_user + now.children_system
            total += seconds
            print(f"{stage}: {seconds:.1f} s, {cpu - before:.1f} CPU seconds", flush=True)
            before = cpu
        print(f"all: {total:.0f} s wall, {cpu:.0f} CPU seconds, load average {os.getloadavg()[0]:.1f}")


def controls(train: Path, val: Path, test: Path) -> None:
    from symmcd.crystallography.content import amounts, densities, number_of_elements
    from symmcd.metrics.coverage import coverage
    from symmcd.metrics.fingerprints import fingerprints_of_units
    from symmcd.metrics.found_symmetry import group_distance
    from symmcd.metrics.magpie import Scale, composition_fingerprints
    from symmcd.metrics.of_set.distributions import wasserstein
    from symmcd.storage import read_units

    held_out, other = read_units(test), read_units(val)
    scale = Scale.of(composition_fingerprints(amounts(read_units(train))))
    cache = Path(tempfile.gettempdir()) / "bench_fingerprints.sqlite"
    reference = fingerprints_of_units(held_out, cache, 2, 60)
    shuffled = dataclasses.replace(other, element=np.random.default_rng(0).permutation(other.element))
    few = held_out.take(np.sort(np.random.default_rng(0).choice(len(held_out), 200, replace=False)))
    print("| set | recall | precision | recall, strict | precision, strict | d_ρ | d_elem | d_sg |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, units, against, truth in (
        ("test, 200 of it against itself", few, fingerprints_of_units(few, cache, 2, 60), few),
        ("test against itself", held_out, reference, held_out),
        ("val against test", other, reference, held_out),
        ("val, elements shuffled, against test", shuffled, reference, held_out),
    ):
        found = coverage(fingerprints_of_units(units, cache, 2, 60), against, scale)
        shares = [getattr(found, n).mean() for n in ("recalled", "precise", "recalled_strict", "precise_strict")]
        distances = [
            wasserstein(densities(units), densities(truth)),
            wasserstein(number_of_elements(units), number_of_elements(truth)),
            group_distance(units.space_group, truth.space_group),
        ]
        cells = [f"{100 * s:.2f}" for s in shares] + [f"{d:.4f}" for d in distances]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("ratio", "chain", "controls"))
    parser.add_argument("--crystals", type=int, default=0)
    for option in ("units", "train", "val", "test"):
        parser.add_argument(f"--{option}", type=Path)
    arguments = parser.parse_args()
    if arguments.what == "ratio":
        ratio(arguments.crystals or 60)
    elif arguments.what == "chain":
        chain(arguments.units, arguments.train, arguments.test, arguments.crystals or 10_000)
    else:
        controls(arguments.train, arguments.val, arguments.test)
