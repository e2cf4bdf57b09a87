"""Relax the same crystals by CHGNet's StructOptimizer one by one, and by our two batched routes, in one run.

    python bench/relax.py --test TEST.npz --generated UNITS.npz [--number 24] [--steps 500] [--threads 1] --output ROWS.csv

Half of the crystals are drawn from TEST (asymmetric units of real crystals, from `symmcd reduce`), half from UNITS
(generated ones, from `symmcd replicate`).  StructOptimizer gets spglib's primitive cells and neither prints nor computes
magnetic moments at the end.  CPU seconds of this process are compared (on a GPU, wall seconds), so that a busy machine
does not decide.  Prints a table and writes one row a crystal.
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
arguments.add_argument("--batch-size", type=int, default=0, help="crystals in progress; 0 = the stage's default")
arguments.add_argument("--without-reference", action="store_true", help="leave StructOptimizer out")
arguments.add_argument("--output", type=Path, required=True)
options = arguments.parse_args()
os.environ["OMP_NUM_THREADS"] = str(options.threads)

import numpy as np  # noqa: E402
import torch  # noqa: E402

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits  # noqa: E402
from symmcd.crystallography.orbit import replicate_flat  # noqa: E402
from symmcd.stability.batch_relaxation import BATCH_ROWS, BATCH_SIZE, Limits, relax_many  # noqa: E402
from symmcd.stability.batched_potential import BatchedPotential  # noqa: E402
from symmcd.stability.potential import load_chgnet, primitive_cell  # noqa: E402
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
                "energy": energies[-1] / len(primitive), "calls": calls,
            }  # fmt: skip
        except Exception as error:  # noqa: BLE001  (it raises what it likes)
            row = {"status": f"failed:{type(error).__name__}", "energy": None, "calls": 0}
        rows.append({**row, "seconds": clock() - start})
    return rows


def ours(crystals: list, potential: BatchedPotential, method: str) -> tuple[list[dict], float]:
    start = clock()
    batch = options.batch_size or BATCH_SIZE[options.device]
    limits = Limits(options.steps, options.fmax)
    found = dict(
        relax_many(crystals, potential, method, batch_size=batch, rows=BATCH_ROWS[options.device], limits=limits)
    )
    seconds = clock() - start
    rows = [
        {
            "status": r.status, "energy": r.energy_relaxed, "calls": r.energy_calls, "seconds": r.seconds,
            "space_group": r.space_group_relaxed, "initial": r.space_group_initial, "atoms": r.number_of_atoms,
            "formula": r.formula,
        }
        for _, r in sorted(found.items())
    ]  # fmt: skip
    return rows, seconds


def main() -> None:
    torch.set_num_threads(options.threads)
    random, half = np.random.default_rng(options.seed), options.number // 2
    parts = [read_units(path) for path in (options.test, options.generated)]
    units = [unit for part in parts for unit in part.take(random.choice(len(part), half, replace=False))]
    structures = crystals_to_structures(replicate_flat(AsymmetricUnits.from_units(units)))
    model = load_chgnet(options.device)
    potential = BatchedPotential(model)
    for method, crystals in (("unconstrained", structures), ("symmetry", units)):  # warm
        list(relax_many(crystals[:2], potential, method, batch_size=2, rows=10_000, limits=Limits(steps=2)))
    wall = time.perf_counter()
    results = {
        "unconstrained": ours(structures, potential, "unconstrained"),
        "symmetry": ours(units, potential, "symmetry"),
    }
    if not options.without_reference:
        rows = reference(structures, model)
        results["structure_optimizer"] = (rows, sum(row["seconds"] for row in rows))
    wall = time.perf_counter() - wall
    write(results, half)
    report(results, half, wall)


def write(results: dict, half: int) -> None:
    with options.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["source", "formula", "atoms", "space_group", *(f"{k} {m}" for m in results for k in ("status", "calls", "energy", "seconds"))]
        )  # fmt: skip
        for index, row in enumerate(results["symmetry"][0]):
            values = [results[m][0][index][k] for m in results for k in ("status", "calls", "energy", "seconds")]
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
    for name, (rows, seconds) in results.items():
        for part, own in (("all", slice(None)), ("test", slice(half)), ("generated", slice(half, None))):
            chosen = rows[own]
            spent = (
                seconds
                if part == "all"
                else seconds * sum(r["seconds"] for r in chosen) / sum(r["seconds"] for r in rows)
            )
            ratio = "" if base is None else f"{sum(r['seconds'] for r in base[0][own]) / spent:.1f}"
            print(
                f"| {name} | {part} | {len(chosen)} | {sum(r['status'] == 'converged' for r in chosen)} | "
                f"{np.mean([r['calls'] for r in chosen]):.1f} | {spent:.1f} | {spent / len(chosen):.3f} | {ratio} |"
            )
    if base is None:
        return
    for name in ("unconstrained", "symmetry"):
        both = [
            (o["energy"] - r["energy"], o, r)
            for o, r in zip(results[name][0], base[0], strict=True)
            if o["status"] == r["status"] == "converged"
        ]
        same = sum(abs(d) <= SAME for d, _, _ in both)
        lower, higher = sum(d < -SAME for d, _, _ in both), sum(d > SAME for d, _, _ in both)
        only = sum(o["status"] == "converged" != r["status"] for o, r in zip(results[name][0], base[0], strict=True))
        lost = sum(r["status"] == "converged" != o["status"] for o, r in zip(results[name][0], base[0], strict=True))
        print(
            f"{name}: both converged {len(both)}: within 1 meV/atom {same}, lower {lower}, higher {higher}; "
            f"converged here alone {only}, there alone {lost}"
        )
        for difference, o, r in both:
            if abs(difference) > SAME:
                print(
                    f"  {o['formula']} ({o['atoms']} atoms): {1e3 * difference:+.1f} meV/atom, space group "
                    f"{o['initial']} -> {o['space_group']}, {o['calls']} calls against {r['calls']}"
                )


if __name__ == "__main__":
    main()
