"""Relax the same crystals by CHGNet's StructOptimizer one by one, and by our two batched routes, in one run.

    python bench/relax.py --test TEST.npz --generated UNITS.npz --output ROWS.csv [--number 24] [--steps 500]

Half of the crystals are drawn from TEST (asymmetric units of real crystals, from `symmcd reduce`), half from UNITS
(generated ones, from `symmcd replicate`).  StructOptimizer gets spglib's primitive cells, as our routes do.  CPU
seconds of this process are compared (on a GPU, wall seconds), so that a busy machine does not decide; ours include the
space groups and distances before and after.  Prints a table and writes one row per crystal.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--test", type=Path, required=True)
arguments.add_argument("--generated", type=Path, required=True)
arguments.add_argument("--number", type=int, default=24)
arguments.add_argument("--steps", type=int, default=500)
arguments.add_argument("--fmax", type=float, default=0.1, help="eV/Å")
arguments.add_argument("--seed", type=int, default=0)
arguments.add_argument("--threads", type=int, default=1)
arguments.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
arguments.add_argument("--batch-size", type=int, default=0, help="crystals in progress; 0 = the potential's")
arguments.add_argument("--without-reference", action="store_true", help="leave StructOptimizer out")
arguments.add_argument("--output", type=Path, required=True)
options = arguments.parse_args()
os.environ["OMP_NUM_THREADS"] = str(options.threads)

import numpy as np  # noqa: E402
import torch  # noqa: E402

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits  # noqa: E402
from symmcd.crystallography.orbit import replicate_flat  # noqa: E402
from symmcd.extensions import POTENTIALS  # noqa: E402
from symmcd.potentials.potential import Potential  # noqa: E402
from symmcd.stability.batch_relaxation import relax_many  # noqa: E402
from symmcd.stability.geometry import primitive_cell  # noqa: E402
from symmcd.stability.in_progress import KICK  # noqa: E402
from symmcd.stability.outcome import Limits  # noqa: E402
from symmcd.storage import read_units  # noqa: E402
from symmcd.structures.convert import crystals_to_structures  # noqa: E402

SAME = 1e-3  # eV/atom


def clock() -> float:
    return time.process_time() if options.device == "cpu" else time.perf_counter()


def reference(structures: list, model: object) -> list[dict]:
    """StructOptimizer as its package has it."""
    from chgnet.model import StructOptimizer

    optimizer = StructOptimizer(model=model, use_device=options.device, on_isolated_atoms="error")
    rows = []
    for structure in structures:
        start = clock()
        try:
            primitive = primitive_cell(structure)
            found = optimizer.relax(
                primitive, fmax=options.fmax, steps=options.steps, verbose=False, assign_magmoms=False
            )
            energies = found["trajectory"].energies
            calls = len(energies) - 1  # the observer is called once more at the end
            row = {
                "status": "converged" if calls <= options.steps else "step_limit",
                "energy": energies[-1] / len(primitive), "calls": calls, "structure": found["final_structure"],
            }  # fmt: skip
        except Exception as error:  # noqa: BLE001  (it raises what it likes)
            row = {"status": f"failed:{type(error).__name__}", "energy": None, "calls": 0}
        rows.append({**row, "seconds": clock() - start})
    return rows


def ours(crystals: list, potential: Potential, method: str, half: int) -> list[dict]:
    """Both halves, one after the other; a crystal's seconds are the mean of its half, as batches share calls."""
    results = []
    for part in (crystals[:half], crystals[half:]):
        start = clock()
        limits = Limits(options.steps, options.fmax)
        found = dict(relax_many(part, potential, method, batch_size=options.batch_size, limits=limits))
        seconds = (clock() - start) / len(part)
        results += [
            {
                "status": r.status, "energy": r.energy_relaxed, "calls": r.energy_calls, "seconds": seconds,
                "space_group": r.space_group_relaxed, "initial": r.space_group_initial, "atoms": r.number_of_atoms,
                "formula": r.formula, "structure": r.structure,
            }
            for _, r in sorted(found.items())
        ]  # fmt: skip
    return results


def main() -> None:
    torch.set_num_threads(options.threads)
    random, half = np.random.default_rng(options.seed), options.number // 2
    parts = [read_units(path) for path in (options.test, options.generated)]
    units = [unit for part in parts for unit in part.take(random.choice(len(part), half, replace=False))]
    structures = crystals_to_structures(replicate_flat(AsymmetricUnits.from_units(units)))
    potential = POTENTIALS["chgnet"].load(options.device)
    for method, crystals in (("unconstrained", structures), ("symmetry", units)):  # warm
        list(relax_many(crystals[:2], potential, method, batch_size=2, limits=Limits(steps=2)))
    wall = time.perf_counter()
    results = {
        "unconstrained": ours(structures, potential, "unconstrained", half),
        "symmetry": ours(units, potential, "symmetry", half),
    }
    if not options.without_reference:
        results["structure_optimizer"] = reference(structures, potential.network.model)
    wall = time.perf_counter() - wall
    write(results, half)
    report(results, half, wall)
    if not options.without_reference:
        for method in ("unconstrained", "symmetry"):
            compare(method, results[method], results["structure_optimizer"], potential)


def write(results: dict, half: int) -> None:
    columns = [(m, k) for m in results for k in ("status", "calls", "energy", "seconds")]
    with options.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["source", "formula", "atoms", "space_group", *(f"{k} {m}" for m, k in columns)])
        for index, row in enumerate(results["symmetry"]):
            values = [results[m][index][k] for m, k in columns]
            source = "test" if index < half else "generated"
            writer.writerow([source, row["formula"], row["atoms"], row["initial"], *values])


def report(results: dict, half: int, wall: float) -> None:
    versions = ", ".join(f"{name} {version(name)}" for name in ("chgnet", "torch", "ase", "numpy"))
    unit = "CPU s" if options.device == "cpu" else "s"
    print(f"{platform.processor() or platform.machine()}, {options.device}, {options.threads} thread(s), {versions}")
    print(f"{2 * half} crystals, {options.steps} steps at most, fmax {options.fmax} eV/Å; {wall:.0f} s of wall clock")
    print(
        f"| route | part | crystals | converged | energy calls a crystal | {unit} | {unit} a crystal | times faster |"
    )
    print("|---|---|---|---|---|---|---|---|")
    base = results.get("structure_optimizer")
    for name, rows in results.items():
        for part, own in (("all", slice(None)), ("test", slice(half)), ("generated", slice(half, None))):
            chosen = rows[own]
            spent = sum(row["seconds"] for row in chosen)
            ratio = "" if base is None else f"{sum(row['seconds'] for row in base[own]) / spent:.1f}"
            print(
                f"| {name} | {part} | {len(chosen)} | {sum(r['status'] == 'converged' for r in chosen)} | "
                f"{np.mean([r['calls'] for r in chosen]):.1f} | {spent:.2f} | {spent / len(chosen):.3f} | {ratio} |"
            )


def compare(method: str, ours: list[dict], theirs: list[dict], potential: Potential) -> None:
    """Final energies side by side.  Where they differ, both ends are kicked and relaxed on, to 0.02 eV/Å, without
    symmetry: equal energies then mean that one had stopped early or symmetry held up a saddle, others two minima."""
    both = [(o, r) for o, r in zip(ours, theirs, strict=True) if o["status"] == r["status"] == "converged"]
    away = [(o, r) for o, r in both if abs(o["energy"] - r["energy"]) > SAME]
    lower = sum(o["energy"] < r["energy"] for o, r in away)
    alone = [sum(a["status"] == "converged" != b["status"] for a, b in pairs) for pairs in (zip(ours, theirs, strict=True), zip(theirs, ours, strict=True))]  # fmt: skip  # noqa: E501
    print(
        f"{method}: both converged {len(both)}: within 1 meV/atom {len(both) - len(away)}, lower {lower}, "
        f"higher {len(away) - lower}; converged here alone {alone[0]}, there alone {alone[1]}"
    )
    if away:
        print("| crystal | atoms | space group | calls | theirs | ours - theirs, meV/atom | ours further | theirs |")
        print("|---|---|---|---|---|---|---|---|")
    random = np.random.default_rng(0)
    ends = [row["structure"].copy() for pair in away for row in pair]
    for structure in ends:
        shift = random.normal(0, KICK, (len(structure), 3))
        for site in range(len(structure)):
            structure.translate_sites([site], shift[site], frac_coords=False, to_unit_cell=False)
    limits = Limits(300, 0.02)
    on = dict(relax_many(ends, potential, "unconstrained", batch_size=16, limits=limits))
    for index, (o, r) in enumerate(away):
        here, there = on[2 * index].energy_relaxed, on[2 * index + 1].energy_relaxed
        further = ["" if e is None else f"{1e3 * (e - r['energy']):+.1f}" for e in (here, there)]
        print(
            f"| {o['formula']} | {o['atoms']} | {o['initial']} → {o['space_group']} | {o['calls']} | {r['calls']} | "
            f"{1e3 * (o['energy'] - r['energy']):+.1f} | {further[0]} | {further[1]} |"
        )


if __name__ == "__main__":
    main()
