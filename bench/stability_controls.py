"""What the stability protocol says of crystals whose answer is known.

    python bench/stability_controls.py --units results-cpu/asymmetric_units --number 200 --output controls \
        --hull hull/mp_formation_energies.csv.gz --elemental-references hull/mp_elemental_reference_entries.json.gz \
        [--chgnet-hull reference.csv]

With `--chgnet-hull`, the output of `symmcd reference {train,val,test}.npz --output reference.csv` (hull.source:
chgnet), rates over that hull are printed too.
Real crystals of the test set go through relax, hull and sun as generated ones do (settings of config/cpu.yaml); so do
the same crystals with every element replaced by a random one, drawn as frequent as elements are on orbits of the test
set.  Then CHGNet's energies of the real ones, as they are and relaxed, are compared with the known formation energies
and distances to the hull.  Tables are printed; intervals are Wilson's for shares, bootstrap for errors.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import itertools
import platform
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from pymatgen.core import Composition

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.settings import HullSettings, RelaxSettings, SunSettings
from symmcd.stability.hull_entries import read_entries
from symmcd.stages import hull, reference, relax, sun
from symmcd.storage import read_units, write_units

SEED = 0


def replaced(units: AsymmetricUnits, pool: np.ndarray, rng: np.random.Generator) -> AsymmetricUnits:
    """Every element of a crystal replaced by another one, drawn from `pool`; different ones stay different."""
    element = units.element.copy()
    for index in range(len(units)):
        part = slice(units.start[index], units.start[index + 1])
        old = np.unique(element[part])
        new = old
        while len(np.unique(new)) < len(old) or (new == old).any():
            new = rng.choice(pool, len(old))
        element[part] = new[np.searchsorted(old, element[part])]
    return dataclasses.replace(units, element=element)


def through(units: AsymmetricUnits, train: Path, folder: Path, hull_file: Path, steps: int) -> dict[str, float]:
    """Run the stages; rows of sun.csv by threshold, flattened."""
    write_units(folder / "units.npz", units)
    began = time.process_time()
    files = folder / "relaxed.csv", folder / "relaxed.extxyz"
    settings = RelaxSettings(number=len(units), steps=steps, max_atoms=60)
    relax.run(folder / "units.npz", *files, 0, 1, settings, SEED, "cpu")
    seconds = time.process_time() - began
    hull.run([files[0]], [hull_file], folder / "hull.csv")
    sun.run(
        folder / "hull.csv", folder / "units.npz", [files[1]], train, folder / "sun.csv",
        folder / "sun_per_crystal.csv", SunSettings(),
    )  # fmt: skip
    found = {"CPU seconds of relaxation": seconds}
    for row in rows(folder / "sun.csv"):
        for name in ("initially_stable", "relaxed_stable", "sun"):
            for part in ("", "_low", "_high"):
                found[f"{name}{part} {row['hull'].split()[0]} {float(row['threshold']):g}"] = float(row[name + part])
    return found


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def error(found: Sequence[float], known: Sequence[float]) -> str:
    """Mean absolute error and mean error in meV/atom with 95 % intervals."""
    difference = 1000 * (np.asarray(found) - np.asarray(known))
    rng = np.random.default_rng(SEED)
    again = difference[rng.integers(0, len(difference), (2000, len(difference)))]
    parts = []
    for statistic in (np.abs(difference).mean(), np.abs(again).mean(axis=1)), (difference.mean(), again.mean(axis=1)):
        low, high = np.percentile(statistic[1], [2.5, 97.5])
        parts.append(f"{statistic[0]:.1f} [{low:.1f}, {high:.1f}]")
    return f"{parts[0]} | {parts[1]} | {np.median(np.abs(difference)):.1f} | {len(difference)}"


def bias(units: AsymmetricUnits, folder: Path, hull_file: Path) -> None:
    """CHGNet's formation energies and distances to the hull beside the known ones, and who is called stable."""
    entries = next(entries for name, entries in read_entries(hull_file).items() if name.startswith("table"))
    elemental = {e.formula: e.energy_per_atom for e in entries if e.kind == "elemental_reference"}
    table = {row["id"]: row for row in rows(folder / "hull.csv") if row["hull"].startswith("table")}
    known = [
        (table[label], units.properties["formation_energy_per_atom"][i], units.properties["e_above_hull"][i])
        for i, label in enumerate(units.label)
    ]
    known = [k for k in known if np.isfinite(k[2]) and k[0]["e_above_hull_initial"] and k[0]["e_above_hull_relaxed"]]
    print("| CHGNet against known, meV/atom | MAE | mean | median | n |\n|---|---|---|---|---|")
    for when in ("initial", "relaxed"):
        formation = []
        for row, _, _ in known:
            fraction = Composition(row["formula"]).fractional_composition.get_el_amt_dict()
            baseline = sum(x * elemental[element] for element, x in fraction.items())
            formation.append(float(row[f"energy_{when}"]) - baseline)
        print(f"| formation energy, {when} | {error(formation, [k[1] for k in known])} |")
        above = [float(row[f"e_above_hull_{when}"]) for row, _, _ in known]
        print(f"| distance to the hull, {when} | {error(above, [k[2] for k in known])} |")
    truly, called = (np.array([k[2] for k in known]) <= 0), (np.array(above) <= 0)
    print(f"\nOn the hull by the table: {truly.sum()} of {len(known)}; CHGNet, relaxed, puts {(truly & called).sum()}")
    print(f"of them at or below 0, and {(~truly & called).sum()} of the {(~truly).sum()} others.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=Path, required=True, help="folder with train.npz and test.npz")
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--hull", type=Path, required=True)
    parser.add_argument("--elemental-references", type=Path, required=True)
    parser.add_argument(
        "--chgnet-hull", type=Path, help="output of `symmcd reference`, for its rates beside the others"
    )
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    rng = np.random.default_rng(SEED)
    test = read_units(arguments.units / "test.npz")
    chosen = np.sort(rng.choice(len(test), min(arguments.number, len(test)), replace=False))
    real = test.take(chosen)
    hull_file = arguments.output / "reference.csv"
    settings = HullSettings("table", str(arguments.hull), str(arguments.elemental_references))
    reference.run([], hull_file, settings, "cpu")
    hulls = ["table"]
    if arguments.chgnet_hull:  # one table may hold several hulls
        hulls.append("chgnet")
        header, *lines = arguments.chgnet_hull.read_text(encoding="utf-8").splitlines(keepends=True)
        own = hull_file.read_text(encoding="utf-8")
        if not own.startswith(header):
            parser.error(f"{arguments.chgnet_hull} is not of this version: its columns are {header.strip()}")
        hull_file.write_text(own + "".join(lines), encoding="utf-8")
    print(f"torch {torch.__version__}, {platform.machine()}, {torch.get_num_threads()} threads")
    sets = {"real": real, "elements replaced": replaced(real, test.element, rng)}
    found = {}
    for name, units in sets.items():
        folder = arguments.output / name.replace(" ", "_")
        found[name] = through(units, arguments.units / "train.npz", folder, hull_file, arguments.steps)
        print(name, dict(Counter(row["status"] for row in rows(folder / "relaxed.csv"))))
    print("| % | hull | threshold, eV/atom | initially stable | relaxed stable | S.U.N. | n |\n" + 7 * "|---" + "|")
    for of_hull, (name, values), threshold in itertools.product(hulls, found.items(), ("0", "0.1")):
        cells = []
        for metric in ("initially_stable", "relaxed_stable", "sun"):
            value, low, high = (values[f"{metric}{part} {of_hull} {threshold}"] for part in ("", "_low", "_high"))
            cells.append(f"{value:.1f} [{low:.1f}, {high:.1f}]")
        print(f"| {name} | {of_hull} | {threshold} | {' | '.join(cells)} | {len(sets[name])} |")
    print()
    bias(real, arguments.output / "real", hull_file)


if __name__ == "__main__":
    main()
