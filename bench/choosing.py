"""What choosing within strata would have gained: relaxed crystals, chosen by models of other compositions.

    python bench/choosing.py UNITS.npz HULL.csv [--one-in 4]

UNITS and HULL are units.npz and hull.csv of a run.  No crystal is made or relaxed for it.  Models learn from the first
judge and hull of HULL; what is chosen is counted by them, and by every judge of HULL together (each over its own hull),
of which the others have never been in the loop.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from symmcd.crystallography import content
from symmcd.crystallography.drafts import Drafts
from symmcd.diffusion.pretrained import load_pretrained
from symmcd.metrics.intervals import wilson
from symmcd.stability.judges import OWN, families
from symmcd.stability_model import choosing
from symmcd.stability_model.features import FEATURES, features
from symmcd.stability_model.fitting import Labels, held_out
from symmcd.stability_model.known_hull import known_hull
from symmcd.stability_model.labels import read_energies
from symmcd.stability_model.materials import arrangements
from symmcd.storage import read_units

SHUFFLES = 50

parser = argparse.ArgumentParser()
parser.add_argument("units", type=Path)
parser.add_argument("hull", type=Path)
parser.add_argument("--one-in", type=int, nargs="+", default=(4, 10, 20))
given = parser.parse_args()

units = read_units(given.units)
energies = read_energies(given.hull, units, given.units)
units = units.take(energies.row)
log_probability = load_pretrained("mp20", device="cpu").log_probability(units)
values = features(units, log_probability, known_hull().hull)
predicted = held_out(Labels(values, energies.energy, content.formulas(units))).energy

drafts = Drafts(units.space_group, units.start, units.element, units.wyckoff, energies.row, log_probability)
passed = np.flatnonzero(choosing.guards(drafts, known=arrangements(("train",))) == 0)
rest, said = drafts.take(passed), predicted[passed]
all_entries = values[:, FEATURES.index("hull_entries")]
entries = all_entries[passed]

labels = units.label.tolist()
table = pd.read_csv(given.hull, dtype={"id": str}, keep_default_na=False, na_values=["", "nan"])
worst = {
    f"{', '.join(of_judge)}, each over its own": np.max(
        [rows.set_index("id")["e_above_hull_relaxed"].loc[labels].to_numpy() for rows in of_judge.values()], axis=0
    )
    for name, of_judge in families(table)
    if name == OWN and len(of_judge) > 1
}
by = {f"{energies.judge} over {energies.hull}": energies.energy, **worst}


def line(name: str, rows: np.ndarray, sparse: np.ndarray) -> None:
    print(f"{name}: n = {len(rows)}, not judged {sparse.mean():.0%}")
    for judges, energy in by.items():
        shares = []
        for threshold in (0.0, 0.1):
            count = int((energy[rows] <= threshold).sum())  # nan is not stable
            low, high = wilson(count, len(rows))
            shares.append(f"<= {threshold:g}: {count / len(rows):.1%} [{low:.1%}, {high:.1%}]")
        print(f"    {judges}: {'; '.join(shares)}")


everything = np.arange(len(units))
line("all", everything, np.zeros(len(units)))
line("guards only", passed, entries < choosing.FEWEST_ENTRIES)
value = energies.energy[passed]
for often in given.one_in:
    number = len(drafts) // often
    every = choosing.strata(drafts, all_entries, choosing.LEAST * often)
    stratum = every[passed]
    wanted = choosing.quotas(np.bincount(every), number, np.bincount(stratum, minlength=every.max() + 1))
    for fewest in (choosing.FEW_ENTRIES, choosing.FEWEST_ENTRIES, 0):
        sparse = entries < fewest
        rows = choosing.best(said, stratum, sparse, rest.formula, rest.number, wanted)
        line(f"one in {often} of its stratum, abstaining below {fewest} entries", passed[rows], sparse[rows])
        if fewest == choosing.FEWEST_ENTRIES:
            for low, high in ((0, fewest), (fewest, choosing.FEW_ENTRIES), (choosing.FEW_ENTRIES, np.inf)):
                of_class = (low <= entries) & (entries < high)
                line(f"  drafts with {low} to {high} entries", passed[of_class], sparse[of_class])
                of_class = of_class[rows]
                line("  of them chosen", passed[rows][of_class], sparse[rows][of_class])
    rng, found = np.random.default_rng(0), []
    for _ in range(SHUFFLES):  # predictions and numbers, so that it is not always the same drafts that are not judged
        shuffled, names = rng.permutation(said), rng.permutation(rest.number)
        rows = choosing.best(shuffled, stratum, entries < choosing.FEWEST_ENTRIES, rest.formula, names, wanted)
        found.append([(value[rows] <= threshold).mean() for threshold in (0.0, 0.1)])
    mean, error = np.mean(found, axis=0), 1.96 * np.std(found, axis=0) / np.sqrt(SHUFFLES)
    print(f"shuffled {SHUFFLES} times: <= 0: {mean[0]:.1%} ± {error[0]:.1%}; <= 0.1: {mean[1]:.1%} ± {error[1]:.1%}")
