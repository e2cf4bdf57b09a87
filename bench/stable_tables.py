"""Sets of N = 1, 4 and 20 drafts per crystal side by side: every S.U.N., every metric, and what is found again.

    python bench/stable_tables.py [--one-in 1 4 20] [--number 10000] [--cores 2] [--results results-stable-] [-- MORE …]

Runs the chain of config/stable.yaml for each N into a folder of its own (`results-stable-1`, …), or takes what is
there, and prints one table.  What stands behind `--` goes to Snakemake: 'data={source: …}' 'hull={…}' 'relax={…}'
behind `--config`.  `--only-print` runs nothing.

*Found again* are generated crystals, as generated, that are materials of MP-20's validation or test set and of no
training material: by arrangement (space group, Wyckoff positions, elements), and by pymatgen's matcher with its
defaults.  The shipped stability model knows these materials, so only a model fitted to training materials makes this
row evidence (docs/stability-model.md, "Found again without a leak").  Intervals are of 95 %.
"""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from symmcd.crystallography import content
from symmcd.crystallography.orbit import replicate_flat
from symmcd.metrics.intervals import percent
from symmcd.metrics.reference_set import ReferenceSet
from symmcd.report.symmetry_figures import CRYSTAL_SYSTEMS
from symmcd.stability_model.chemistry import CHEMISTRIES, chemistry, has_lanthanides
from symmcd.storage import read_units
from symmcd.structures.convert import crystals_to_structures

SUN = {"sun": "S.U.N.", "sun_elsewhere_new": "S.U.N., new to all of MP-20", "sun_undoubted": "S.U.N. without doubts"}


def shown(share: float, low: float, high: float) -> str:
    return f"{share:.1f} [{low:.1f}, {high:.1f}]"


def stable_rows(folder: Path) -> dict[str, str]:
    """Of every judge, hull and threshold, %, and how often the judges of one hull agree."""
    table = pd.read_csv(folder / "sun.csv")
    if "draw" in table:
        table = table[table["draw"] == "all"]
    rows = {"relaxed crystals": f"{int(table['n'].iloc[0]):,}"}
    for name, words in SUN.items():
        for row in table.to_dict("records"):
            if name in row:
                title = f"{words}, {row['judge']}, {row['hull']}, ≤ {row['threshold']:g} eV/atom"
                rows[title] = shown(row[name], row[f"{name}_low"], row[f"{name}_high"])
    return rows


def metric_rows(folder: Path) -> dict[str, str]:
    """All of summary.csv."""
    rows = {}
    for row in pd.read_csv(folder / "metrics/summary.csv").to_dict("records"):
        interval = f" [{row['low']:.4g}, {row['high']:.4g}]" if pd.notna(row["low"]) else ""
        rows[f"{row['metric']} ({row['protocol']})"] = f"{row['value']:.4g}{interval}"
    return rows


def set_rows(folder: Path) -> dict[str, str]:
    """What the set is made of, and what of it is found again."""
    units = read_units(folder / "crystals/units.npz")
    known = {split: read_units(folder / f"asymmetric_units/{split}.npz") for split in ("train", "val", "test")}
    names = {split: set(content.arrangements(crystals)) for split, crystals in known.items()}
    unseen = (names["val"] | names["test"]) - names["train"]
    arrangement, amounts, group = content.arrangements(units), content.amounts(units), units.space_group
    sets = {split: ReferenceSet(crystals) for split, crystals in known.items()}
    again = [
        sets["train"].match(crystal) is None
        and (sets["val"].match(crystal) is not None or sets["test"].match(crystal) is not None)
        for crystal in crystals_to_structures(replicate_flat(units))
    ]
    kinds = chemistry(amounts)
    systems = {f"{name}, %": percent((low <= group) & (group <= high)) for name, (low, high) in CRYSTAL_SYSTEMS.items()}
    return {
        "generated crystals": f"{len(units):,}",
        "different arrangements, %": f"{100 * len(set(arrangement)) / len(arrangement):.1f}",
        "found again by arrangement, %": percent(np.array([name in unseen for name in arrangement])),
        "found again by the matcher, %": percent(np.array(again)),
        **{f"{name}, %": percent(kinds == kind) for kind, name in enumerate(CHEMISTRIES)},
        "with lanthanides, %": percent(has_lanthanides(amounts)),
        **systems,
        "orbits, mean": f"{np.diff(units.start).mean():.2f}",
    }


def print_table(columns: Mapping[int, Mapping[str, str]]) -> None:
    print("\n| | " + " | ".join(f"N = {often}" for often in columns) + " |\n|" + "---|" * (len(columns) + 1))
    for name in dict.fromkeys(name for rows in columns.values() for name in rows):
        print(f"| {name} | " + " | ".join(rows.get(name, "") for rows in columns.values()) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one-in", type=int, nargs="+", default=(1, 4, 20), metavar="N")
    parser.add_argument("--number", type=int, default=10_000, help="crystals of each set")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--results", default="results-stable-", help="folders, before N")
    parser.add_argument("--only-print", action="store_true")
    parser.add_argument("more", nargs="*", help="words for Snakemake, behind --")
    given = parser.parse_args()
    columns = {}
    for often in given.one_in:
        folder = f"{given.results}{often}"
        if not given.only_print:
            command = ["snakemake", "all", "--configfile", "config/stable.yaml", "--cores", str(given.cores)]
            choice = [f"results={folder}", f"sampling={{oversample: {often}, number: {given.number}}}"]
            more = given.more if "--config" in given.more else [*given.more, "--config"]
            where = more.index("--config") + 1
            subprocess.run([*command, *more[:where], *choice, *more[where:]], check=True)
        columns[often] = {**stable_rows(Path(folder)), **set_rows(Path(folder)), **metric_rows(Path(folder))}
    print_table(columns)


if __name__ == "__main__":
    main()
