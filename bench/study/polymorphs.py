"""Would the stability model order the arrangements of a formula better than their probability does?

    python bench/study/polymorphs.py --units UNITS/val.npz --model stability-train.safetensors --splits train \
        [--number 300] [--candidates 60]

For random crystals it lists the likeliest `--candidates` positions and elements of the formula (number of atoms told),
and orders them by ê - β log p, with ê the energy above the hull that the stability model predicts, in eV/atom.
Printed for each β: in how many cases the crystal's own arrangement is among the first 1, 5 and 20.  No geometry is
made, and no potential asked.  The model must not know the crystals (`--splits train`; docs/stability-model.md).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from symmcd.crystallography import content
from symmcd.diffusion.pretrained import load_pretrained
from symmcd.metrics.intervals import percent
from symmcd.stability_model.known_hull import known_hull
from symmcd.stability_model.model import StabilityModel, model_path
from symmcd.storage import read_units

sys.path.insert(0, str(Path(__file__).parents[1]))
from prediction import compositions

FIRST = (1, 5, 20)
AT_ONCE = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=Path, required=True)
    parser.add_argument("--model", required=True, help="stability model")
    parser.add_argument("--splits", default="train", help="of MP-20 whose energies the model is told")
    parser.add_argument("--number", type=int, default=300)
    parser.add_argument("--candidates", type=int, default=60)
    parser.add_argument("--beta", type=float, nargs="+", default=[0, 0.003, 0.01, 0.02, 0.03, 0.05, 0.1, 0.3, 1])
    given = parser.parse_args()
    units = read_units(given.units)
    units = units.take(np.random.default_rng(0).choice(len(units), min(given.number, len(units)), replace=False))
    own = content.arrangements(units)
    generator, model = load_pretrained(), StabilityModel.read(model_path(given.model))
    hull = known_hull(None, given.splits).hull
    same: list[np.ndarray] = []
    energy: list[np.ndarray] = []
    log_probability: list[np.ndarray] = []
    for start in range(0, len(units), AT_ONCE):
        told = list(compositions(units.take(np.arange(start, min(start + AT_ONCE, len(units)))), any_size=False))
        for index, found in enumerate(generator.arrangements(told, given.candidates), start=start):
            drafts = found.sequences.drafts(torch.arange(len(found)), found.log_probability, seed=0)
            same.append(np.array([name == own[index] for name in content.arrangements(drafts)], dtype=bool))
            energy.append(model.of(drafts, hull).energy if len(found) else np.empty(0))
            log_probability.append(drafts.log_probability)

    def row(name: str, orders: list[np.ndarray]) -> None:
        cells = [
            percent(np.array([own[some[:first]].any() for own, some in zip(same, orders, strict=True)]))
            for first in FIRST
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)

    print(f"{len(same)} crystals, own arrangement among the first, %\n\n| ordered by | 1 | 5 | 20 |\n|---|---|---|---|")
    row("log p", [np.argsort(-some, kind="stable") for some in log_probability])
    for beta in given.beta:
        scores = [e - beta * p for e, p in zip(energy, log_probability, strict=True)]
        row(f"ê - {beta:g} log p" if beta else "ê", [np.argsort(some, kind="stable") for some in scores])


if __name__ == "__main__":
    main()
