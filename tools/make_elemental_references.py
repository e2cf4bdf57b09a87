"""Write energies of the elements, from which formation energies count: src/symmcd/discovery/elements.csv.

    python tools/make_elemental_references.py ELEMENTS.json.gz

ELEMENTS.json.gz has the Materials Project's computed entry of each element, as matbench-discovery publishes them
(`hull.elemental_references`).
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from symmcd.stability.hull_entries import elemental_reference_entries

TABLE = Path(__file__).parent.parent / "src/symmcd/discovery/elements.csv"


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    entries = elemental_reference_entries(Path(sys.argv[1]))
    with TABLE.open("w", newline="", encoding="ascii") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("element", "energy_per_atom", "entry_id"))
        writer.writerows((entry.formula, f"{entry.energy_per_atom:.6f}", entry.id) for entry in entries)
    print(f"wrote {len(entries)} elements")


if __name__ == "__main__":
    main()
