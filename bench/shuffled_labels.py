"""hull.csv with the energies above each hull shuffled among its crystals: labels without meaning.

    python bench/shuffled_labels.py hull.csv shuffled.csv [--seed 0]

A stability model that is fitted to them must choose nothing better than the guards alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

COLUMNS = ["status", "e_above_hull_relaxed"]  # they go together: a crystal without an energy says so

parser = argparse.ArgumentParser()
parser.add_argument("hull", type=Path)
parser.add_argument("output", type=Path)
parser.add_argument("--seed", type=int, default=0)
given = parser.parse_args()

table = pd.read_csv(given.hull, dtype=str, keep_default_na=False)
rng = np.random.default_rng(given.seed)
for rows in table.groupby(["judge", "hull"]).groups.values():
    table.loc[rows, COLUMNS] = table.loc[rng.permutation(rows), COLUMNS].to_numpy()
table.to_csv(given.output, index=False)
print(f"wrote {given.output} ({len(table)} rows)")
