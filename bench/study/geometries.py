"""How many geometries should a candidate of a formula have, and how much should its probability count?

    python bench/study/geometries.py --units UNITS/val.npz [--number 300] [--candidates 5] [--geometries 6] \
        [--beta 0.005 0.01 0.02 0.03] [--judge sevennet-0] [--cores 2] [--keep FOLDER]

As `bench/prediction.py`, but each candidate gets `--geometries` of them (25 steps, one proposal), all relaxed by CHGNet
within their space groups.  For each number of geometries the one of lowest energy is kept.  Printed: how often the
candidate with the crystal's own positions and elements then matches the crystal; how often the first candidate does,
ordered by log p and by E - β log p; and one of all candidates.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from symmcd import relax
from symmcd.crystallography import content
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.diffusion.generator import CHEAP_STEPS
from symmcd.metrics.intervals import percent
from symmcd.stability.ranking import best_first, scores
from symmcd.storage import read_units

sys.path.insert(0, str(Path(__file__).parents[1]))
from prediction import candidates_of, chosen_rows, displacements, generator_of, judged_energies, kept, structures

BLOCK = 50  # crystals predicted together

Arrays = dict[str, np.ndarray]


def predicted(units: AsymmetricUnits, first: int, candidates: int, geometries: int, judge: str | None) -> Arrays:
    """Of C candidates: owner, log_probability, same (C,); distance, energy, second_energy (geometries, C)."""
    generator = generator_of("mp20")
    owner, _, drafts = candidates_of(units, first, generator, candidates)
    truth, own = structures(units), content.arrangements(units)
    rows: dict[str, list[np.ndarray]] = {"distance": [], "energy": [], "second_energy": []}
    for seed in range(geometries):
        drafts = dataclasses.replace(drafts, seed=seed)
        made = AsymmetricUnits.from_units(generator.with_geometries(drafts, steps=CHEAP_STEPS, proposals=1))
        relaxed = relax(made, potential="chgnet", method="symmetry")
        ended = [made[row] if result.unit is None else result.unit for row, result in enumerate(relaxed)]
        rows["distance"].append(displacements(AsymmetricUnits.from_units(ended), owner, truth))
        rows["energy"].append(np.array([np.inf if r.energy_relaxed is None else r.energy_relaxed for r in relaxed]))
        rows["second_energy"].append(judged_energies(relaxed, judge) if judge else rows["energy"][-1])
    same = [own[index] == name for index, name in zip(owner.tolist(), content.arrangements(made), strict=True)]
    arrays = {name: np.array(values) for name, values in rows.items()}
    return arrays | {"owner": first + owner, "log_probability": drafts.log_probability, "same": np.array(same)}


def block(units: AsymmetricUnits, first: int, given: argparse.Namespace) -> Arrays:
    """`predicted`, or what an earlier run kept of it."""
    path = None if given.keep is None else given.keep / f"{first:05}-{len(units)}.npz"
    return kept(path, lambda: predicted(units, first, given.candidates, given.geometries, given.judge))


def print_table(found: Arrays, crystals: int, given: argparse.Namespace) -> None:
    """A row for each number of geometries."""
    rows = [np.flatnonzero(found["owner"] == index) for index in range(crystals)]
    orders = [("E", "energy", beta) for beta in given.beta]
    orders += [(f"E by {given.judge}", "second_energy", beta) for beta in given.beta if given.judge]
    heads = ["own arrangement", "log p", *(f"{name} - {beta:g} log p" for name, _, beta in orders), "one of all"]
    print("| geometries | " + " | ".join(heads) + " |\n|" + "---|" * (1 + len(heads)))
    for number in range(1, given.geometries + 1):
        best = found["energy"][:number].argmin(axis=0), np.arange(len(found["owner"]))
        matched = np.isfinite(found["distance"][best])
        cells = [percent(matched[found["same"]])]
        log_probability = found["log_probability"].tolist()
        cells.append(percent(np.array([matched[some[:1]].any() for some in rows])))
        for _, energy, beta in orders:
            score = scores(found[energy][best].tolist(), log_probability, beta)
            cells.append(percent(np.array([matched[some[best_first(score[some])[:1]]].any() for some in rows])))
        cells.append(percent(np.array([matched[some].any() for some in rows])))
        print(f"| {number} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=Path, required=True)
    parser.add_argument("--number", type=int, default=300)
    parser.add_argument("--candidates", type=int, default=5)
    parser.add_argument("--geometries", type=int, default=6)
    parser.add_argument("--beta", type=float, nargs="+", default=[0.005, 0.01, 0.02, 0.03])
    parser.add_argument("--judge")
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    if given.keep:
        given.keep.mkdir(parents=True, exist_ok=True)
    units = read_units(given.units)
    units = units.take(chosen_rows(units, given.number, metre=False))
    firsts = range(0, len(units), BLOCK)
    blocks = [units.take(np.arange(i, min(i + BLOCK, len(units)))) for i in firsts]
    with ProcessPoolExecutor(given.cores, multiprocessing.get_context("spawn")) as pool:
        found = list(pool.map(functools.partial(block, given=given), blocks, firsts))
    print(f"{len(units)} crystals\n")
    joined = {name: np.concatenate([part[name] for part in found], axis=-1) for name in found[0]}
    print_table(joined, len(units), given)


if __name__ == "__main__":
    main()
