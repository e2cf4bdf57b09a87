"""Draw README's picture: valid candidates without doubts of a finished run, relaxed, lowest above the hull first.

python tools/draw_gallery.py results-cpu docs/images/generated.png
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pandas as pd
from pymatgen.core import Structure

import symmcd
from symmcd.report.crystal_drawing import write_gallery

NUMBER = 6


def main() -> None:
    results, picture = Path(sys.argv[1]), Path(sys.argv[2])
    table = pd.read_csv(results / "candidates.csv", dtype=str, keep_default_na=False)
    chosen = table[(table["doubts"] == "") & (table["valid"] == "True")][:NUMBER]
    with zipfile.ZipFile(results / "candidates.zip") as archive:
        structures = [Structure.from_str(archive.read(name).decode(), fmt="cif") for name in chosen["file"]]
    write_gallery(picture, [symmcd.reduce(structure) for structure in structures], columns=NUMBER)
    for row in chosen.to_dict("records"):
        print(f"{row['id']} {row['formula']} {row['e_above_hull']} eV/atom {row['known_elsewhere']}")
    print(f"wrote {picture}")


if __name__ == "__main__":
    main()
