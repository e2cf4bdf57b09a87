"""Draw README's picture: valid crystals of a finished run, lowest above the hull first.

python tools/draw_gallery.py results-cpu docs/images/generated.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from symmcd.report.crystal_drawing import write_gallery
from symmcd.storage import read_units


def main() -> None:
    results, picture = Path(sys.argv[1]), Path(sys.argv[2])
    units = read_units(results / "crystals/units.npz")
    scores = pd.read_csv(results / "metrics/per_crystal.csv", dtype={"id": str})
    hull = pd.read_csv(results / "hull.csv", dtype={"id": str}, keep_default_na=False, na_values=[""])
    valid = set(scores["id"][scores["valid"]])
    order = [name for name in hull.sort_values("e_above_hull_relaxed")["id"] if name in valid]
    rows = {name: row for row, name in enumerate(units.label)}
    write_gallery(picture, [units[rows[name]] for name in order[:6]], columns=6)
    print(f"wrote {picture}: {', '.join(order[:6])}")


if __name__ == "__main__":
    main()
