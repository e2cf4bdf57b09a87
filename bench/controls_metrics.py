"""Scores of real crystals in Tables 1 and 2, and of real crystals with random elements.

    python bench/controls_metrics.py results-cpu --output controls --controls test val shuffled --number 0 0 1000

Each control takes the place of the generated crystals and goes through the chain's own evaluation:

test      the test set against itself: distances 0 and coverage 100 % by construction, validity of real crystals
val       the validation set against the test set: what a perfect model could expect
shuffled  the validation set, the elements of all orbits of all crystals shuffled: right structures and templates,
          wrong chemistry; must score badly wherever chemistry counts

`--number` crystals of each are drawn with seed 0 (0: all).  A control whose csv is in the output folder is not computed
again.  Fingerprints are kept in `fingerprints.sqlite` there; `--cache` names another file, such as the run's own.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import time
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.content import templates
from symmcd.crystallography.orbit import replicate_flat
from symmcd.metrics.crystal_scores import score
from symmcd.metrics.evaluation import Options, evaluate_set
from symmcd.metrics.fingerprints import fingerprints_of_units
from symmcd.metrics.paper_tables import Run, paper_tables
from symmcd.metrics.reference_set import ReferenceSet
from symmcd.metrics.rows import write_summary
from symmcd.metrics.typeset_tables import markdown
from symmcd.settings import ScoreSettings
from symmcd.storage import read_units
from symmcd.structures.convert import crystals_to_structures

CONTROLS = {"test": "test", "val": "val", "shuffled": "val"}  # control -> the split that it is made of
NAMES = {"test": "MP-20 test", "val": "MP-20 val", "shuffled": "MP-20 val, random elements"}
ORIGINALITY = (
    "uniqueness", "novelty", "novelty_valid", "prototype_novelty", "prototype_novelty_valid", "amd_novelty",
    "amd_diversity",
)  # fmt: skip
PACKAGES = ("numpy", "scipy", "pymatgen", "spglib", "smact", "matminer")


def deal_elements(units: AsymmetricUnits, seed: int) -> AsymmetricUnits:
    """The same crystals, the elements of all their orbits permuted."""
    return dataclasses.replace(units, element=np.random.default_rng(seed).permutation(units.element))


def control(name: str, folder: Path, number: int, seed: int = 0) -> AsymmetricUnits:
    """Crystals of a control."""
    units = read_units(folder / f"asymmetric_units/{CONTROLS[name]}.npz")
    if 0 < number < len(units):
        units = units.take(np.sort(np.random.default_rng(seed).choice(len(units), number, replace=False)))
    return deal_elements(units, seed) if name == "shuffled" else units


def evaluate(units: AsymmetricUnits, folder: Path, cache: Path) -> list[dict]:
    """Rows of summary.csv with `units` in place of generated crystals, as the stages score and summarise make them."""
    settings = ScoreSettings()
    train, test = (ReferenceSet(read_units(folder / f"asymmetric_units/{split}.npz")) for split in ("train", "test"))
    structures = crystals_to_structures(replicate_flat(units))
    rows = [
        {"id": label, **score(structure, int(group), settings.symprec, settings.smact_seconds)}
        for label, group, structure in zip(units.label, units.space_group, structures, strict=True)
    ]
    table = pd.DataFrame(rows)
    table["template"] = templates(units)
    ours, theirs = (
        fingerprints_of_units(some, cache, workers=1, seconds=settings.fingerprint_seconds)
        for some in (units, test.units)
    )
    options = Options(
        settings.distribution_sample, settings.prototype_sample, settings.structure_cutoff, settings.composition_cutoff
    )
    return [*evaluate_set(table, structures, train, test, (ours, theirs), None, options).rows]


def own_metrics(runs: list[Run]) -> str:
    """Markdown of what the paper's tables do not have."""
    lines = [f"| | {' | '.join(run.name for run in runs)} |", f"|---|{'---:|' * len(runs)}"]
    for metric in ORIGINALITY:
        cells = []
        for run in runs:
            row = next((row for row in run.summary if row["metric"] == metric), None)
            interval = "" if row is None or pd.isna(row["low"]) else f" [{row['low']:.3g}, {row['high']:.3g}]"
            cells.append("–" if row is None else f"{row['value']:.3g}{interval}, n = {row['n']:.0f}")
        lines.append(f"| {metric} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="folder of a run: asymmetric_units/, metrics/summary.csv")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--controls", nargs="+", choices=CONTROLS, default=list(CONTROLS))
    parser.add_argument("--number", nargs="+", type=int, default=[0], help="crystals of each control; one for all")
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    numbers = arguments.number * (len(arguments.controls) if len(arguments.number) == 1 else 1)
    cache = arguments.cache or arguments.output / "fingerprints.sqlite"
    runs = []
    for name, number in zip(arguments.controls, numbers, strict=True):
        path = arguments.output / f"{name}.csv"
        if not path.exists():
            units = control(name, arguments.results, number)
            clock, cpu = time.perf_counter(), time.process_time()
            write_summary(path, evaluate(units, arguments.results, cache))
            print(
                f"{name}: {len(units)} crystals, {time.perf_counter() - clock:.0f} s ({time.process_time() - cpu:.0f})"
            )
        runs.append(Run(NAMES[name], pd.read_csv(path).to_dict("records")))
    ours = arguments.results / "metrics/summary.csv"
    if ours.exists():
        runs.append(Run("this model", pd.read_csv(ours).to_dict("records")))
    versions = ", ".join(f"{package} {metadata.version(package)}" for package in PACKAGES)
    print(f"{platform.machine()}, {os.cpu_count()} cores; Python {platform.python_version()}, {versions}")
    print(markdown(paper_tables(runs)[:2]))
    print(own_metrics(runs))


if __name__ == "__main__":
    main()
