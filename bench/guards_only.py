"""S.U.N. of the crystals of a run that pass the guards, as it was counted in the run.

python bench/guards_only.py RESULTS                                 of an unchosen run: what the guards alone gain
python bench/guards_only.py RESULTS --labelled ROUND/units.npz …    of a chosen one, without arrangements of labels
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from symmcd.crystallography.drafts import Drafts
from symmcd.metrics.intervals import wilson
from symmcd.stability_model import choosing
from symmcd.stability_model.materials import arrangements_of
from symmcd.storage import read_units

parser = argparse.ArgumentParser()
parser.add_argument("results", type=Path)
parser.add_argument("--labelled", type=Path, nargs="+", default=())
given = parser.parse_args()
results = given.results

units = read_units(results / "crystals/units.npz")
drafts = Drafts(
    units.space_group, units.start, units.element, units.wyckoff, np.arange(len(units)), np.zeros(len(units))
)
known = arrangements_of(["train", *given.labelled])
passes = dict(zip(units.label.tolist(), choosing.guards(drafts, known=known) == 0, strict=True))
table = pd.read_csv(results / "sun_per_crystal.csv", dtype={"id": str}, keep_default_na=False)
for (judge, hull), rows in table.groupby(["judge", "hull"], sort=False):
    kept = rows[rows["id"].map(passes)]
    for threshold in (0, 0.1):
        count = int((kept[f"sun_at_{threshold}"].astype(str) == "True").sum())
        low, high = (100 * value for value in wilson(count, len(kept)))
        share = 100 * count / len(kept)
        print(f"| {judge}, {hull}, <= {threshold} | {share:.1f} [{low:.1f}, {high:.1f}] | {len(kept):,} |")
