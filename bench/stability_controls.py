"""What the stability protocol says of crystals whose answer is known, by each judge.

    python bench/stability_controls.py --units results-cpu/asymmetric_units --number 300 --output controls \
        --hull hull/mp_formation_energies.csv.gz --elemental-references hull/mp_elemental_reference_entries.json.gz \
        --judges sevennet-0

Crystals of the test set go through relax, judge, hull and sun as generated ones do (settings of config/cpu.yaml); so do

elements   the same crystals with every element replaced by a random one, drawn as frequent as elements are on orbits
           of the test set
geometry   the same with every free coordinate drawn at random, in the cell, group, positions and elements that they
           had; of 20 draws the one whose nearest atoms are farthest apart.  Crystals without a free coordinate are
           left out

Each judge is held against the hull of the table and against its own, of the systems in play.  Then the judges' energies
of the real crystals, as relaxed, are compared with the known distances to the hull and with each other.  Tables are
printed; intervals are Wilson's for shares, bootstrap for errors and correlations.  A rerun takes finished files.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import platform
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.orbit import replicate_flat
from symmcd.crystallography.wyckoff import wrap, wyckoff_table
from symmcd.metrics.intervals import percent
from symmcd.settings import HullSettings, JudgeSettings, RelaxSettings, SunSettings
from symmcd.stability.geometry import shortest_distance
from symmcd.stability.judges import ALL, families
from symmcd.stages import hull, judge, reference, relax, sun
from symmcd.storage import read_units, write_units
from symmcd.structures.convert import crystals_to_structures

SEED = 0
GEOMETRIES = 20
PACKAGES = ("torch", "chgnet", "sevenn", "pymatgen", "numpy")


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


def shaken(units: AsymmetricUnits, rng: np.random.Generator) -> AsymmetricUnits:
    """Crystals that have free coordinates, with these drawn at random; see the module."""
    table = wyckoff_table()
    free = table.degrees_of_freedom[units.wyckoff] > 0
    best = units.take([i for i in range(len(units)) if free[units.start[i] : units.start[i + 1]].any()])
    generator, distance = table.generator[best.wyckoff], np.zeros(len(best))
    for _ in range(GEOMETRIES):
        drawn = (generator[:, :, :3] @ rng.random((len(generator), 3, 1)))[..., 0] + generator[:, :, 3]
        other = dataclasses.replace(best, position=wrap(drawn))
        apart = np.array([shortest_distance(s) for s in crystals_to_structures(replicate_flat(other))])
        position = np.where((apart > distance)[best.crystal][:, None], other.position, best.position)
        best, distance = dataclasses.replace(best, position=position), np.maximum(apart, distance)
    return best


def through(units: AsymmetricUnits, folder: Path, options: argparse.Namespace) -> pd.DataFrame:
    """Run the stages; sun_per_crystal.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    write_units(folder / "units.npz", units)
    table, frames = folder / "relaxed.csv", folder / "relaxed.extxyz"
    seconds = {}
    if not table.exists():
        began = time.process_time()
        settings = RelaxSettings(number=len(units), steps=options.steps, max_atoms=60)
        relax.run(folder / "units.npz", table, frames, 0, 1, settings, SEED, "cpu")
        seconds["relax"] = time.process_time() - began
    reference.run([], folder / "table.csv", HullSettings("table", str(options.hull), str(options.elemental)), "cpu")
    tables, hulls = [table], [folder / "table.csv"]
    splits = [options.units / f"{split}.npz" for split in ("train", "val", "test")]
    for name in ("chgnet", *options.judges):
        began = time.process_time()
        if name != "chgnet":
            tables.append(folder / f"{name}.csv")
            if not tables[-1].exists():
                judge.run([table], [frames], name, tables[-1], 0, 1, JudgeSettings(), RelaxSettings(), "cpu")
        hulls.append(folder / f"hull_{name}.csv")
        if not hulls[-1].exists():
            reference.run(
                splits, hulls[-1], HullSettings(source=name), "cpu", in_play=[table],
                cache=options.output / "energies.sqlite",
            )  # fmt: skip
        seconds[name] = time.process_time() - began
    print(f"{folder.name}: {len(units)} crystals; CPU seconds", {name: round(value) for name, value in seconds.items()})
    hull.run(tables, hulls, folder / "hull.csv")
    sun.run(
        folder / "hull.csv", folder / "units.npz", [frames], options.units / "train.npz", folder / "sun.csv",
        folder / "sun_per_crystal.csv", SunSettings(),
    )  # fmt: skip
    return pd.read_csv(folder / "sun_per_crystal.csv", dtype={"id": str}, keep_default_na=False, na_values=["", "nan"])


def with_interval(statistic: Callable[[np.ndarray], float], number: int, form: str) -> str:
    """A number of crystals by their indices, with the interval of 2,000 samples of them."""
    rng = np.random.default_rng(SEED)
    low, high = np.percentile([statistic(rng.integers(0, number, number)) for _ in range(2000)], [2.5, 97.5])
    return f"{statistic(np.arange(number)):{form}} [{low:{form}}, {high:{form}}]"


def rates_table(sets: dict[str, pd.DataFrame]) -> None:
    print("\n| crystals | judge | hull | stable ≤ 0, % | S.U.N. ≤ 0, % | stable ≤ 0.1, % | S.U.N. ≤ 0.1, % | n |")
    print("|---" * 8 + "|")
    for name, table in sets.items():
        for (who, over), rows in table.groupby(["judge", "hull"], sort=False):
            flags = [rows[f"{what}_at_{t}"].to_numpy(bool) for t in ("0", "0.1") for what in ("relaxed_stable", "sun")]
            print(f"| {name} | {who} | {over} | {' | '.join(map(percent, flags))} | {len(rows)} |")


def agreement_table(sets: dict[str, pd.DataFrame]) -> None:
    """Which crystals both of two judges call stable."""
    print("\n| crystals | hulls | judges | eV/atom | both, % | first only, % | second only, % | neither, % | n |")
    print("|---" * 9 + "|")
    for name, table in sets.items():
        for over, of_judge in families(table[table["judge"] != ALL]):
            for one, other in itertools.combinations(of_judge, 2):
                a, b = (of_judge[who].set_index("id")["e_above_hull_relaxed"] for who in (one, other))
                b = b.loc[a.index]
                known = (a.notna() & b.notna()).to_numpy()
                for threshold in (0, 0.1):
                    first, second = ((x <= threshold).to_numpy()[known] for x in (a, b))
                    cells = first & second, first & ~second, ~first & second, ~first & ~second
                    shares = " | ".join(map(percent, cells))
                    print(f"| {name} | {over} | {one}, {other} | {threshold} | {shares} | {known.sum()} |")


def errors_table(real: AsymmetricUnits, table: pd.DataFrame) -> None:
    """Print distances to the hull by each judge against the known ones, and whether judges err together."""
    known = pd.Series(real.properties["e_above_hull"], index=real.label.astype(str))
    shares = "crystals on the hull that are at or below 0 | other crystals at or below 0"
    print(f"\n| judge | hull | MAE, meV/atom | mean error | {shares} | n |")
    print("|---" * 7 + "|")
    errors: dict[tuple[str, str], pd.Series] = {}
    for (who, over), rows in table[table["judge"] != ALL].groupby(["judge", "hull"], sort=False):
        found = rows.set_index("id")["e_above_hull_relaxed"]
        error = (1000 * (found - known.loc[found.index])).dropna()
        errors[who, over] = error
        values = error.to_numpy()
        mean = with_interval(lambda i, v=values: np.abs(v[i]).mean(), len(values), ".1f")
        bias = with_interval(lambda i, v=values: v[i].mean(), len(values), "+.1f")
        on, called = (known.loc[error.index] <= 0).to_numpy(), (found.loc[error.index] <= 0).to_numpy()
        below = f"{(on & called).sum()} of {on.sum()} | {(~on & called).sum()} of {(~on).sum()}"
        print(f"| {who} | {over} | {mean} | {bias} | {below} | {len(values)} |")
    print("\n| errors of | over | correlation | n |\n|---|---|---|---|")
    for (one, over), (other, theirs) in itertools.combinations(errors, 2):
        if one != other and (over == theirs or (over == one and theirs == other)):
            both = errors[one, over].index.intersection(errors[other, theirs].index)
            x, y = (errors[key].loc[both].to_numpy() for key in ((one, over), (other, theirs)))
            text = with_interval(lambda i, x=x, y=y: np.corrcoef(x[i], y[i])[0, 1], len(both), ".2f")
            print(f"| {one}, {other} | {over if over == theirs else 'their own hulls'} | {text} | {len(both)} |")


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=Path, required=True, help="folder with train.npz, val.npz and test.npz")
    parser.add_argument("--number", type=int, default=300)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--hull", type=Path, required=True)
    parser.add_argument("--elemental-references", type=Path, required=True, dest="elemental")
    parser.add_argument("--judges", nargs="*", default=[], help="beside chgnet")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(words)
    rng = np.random.default_rng(SEED)
    test = read_units(options.units / "test.npz")
    real = test.take(np.sort(rng.choice(len(test), min(options.number, len(test)), replace=False)))
    sets = {"real": real, "elements": replaced(real, test.element, rng), "geometry": shaken(real, rng)}
    tables = {name: through(units, options.output / name, options) for name, units in sets.items()}
    rates_table(tables)
    agreement_table(tables)
    errors_table(real, tables["real"])
    versions = ", ".join(f"{package} {metadata.version(package)}" for package in PACKAGES)
    print(f"\n{platform.machine()}, {torch.get_num_threads()} threads, Python {platform.python_version()}, {versions}")


if __name__ == "__main__":
    main()
