"""Write what `symmcd discover` knows beside MP-20: energies of the elements, and materials with larger cells.

    python tools/make_known_materials.py ELEMENTS.json.gz ENERGIES.csv.gz

ELEMENTS.json.gz has the Materials Project's computed entry of each element, as matbench-discovery publishes them
(`hull.elemental_references`).  ENERGIES.csv.gz has the columns material_id, formula and formation_energy_per_atom;
materials of MP-20 are left out, as `src/symmcd/stability_model/mp20.csv.gz` has them.
Makes elements.csv and larger.csv.gz in ``src/symmcd/discovery``.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
from pathlib import Path

from symmcd.crystallography.composition import formula_unit_of, reduced_formula
from symmcd.stability.hull_entries import elemental_reference_entries, table_entries
from symmcd.stability_model.materials import materials

FOLDER = Path(__file__).parent.parent / "src/symmcd/discovery"


def written(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> bytes:
    """A csv."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode("ascii")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("elements", type=Path)
    parser.add_argument("energies", type=Path)
    given = parser.parse_args()
    elements = [
        (entry.formula, f"{entry.energy_per_atom:.6f}", entry.id)
        for entry in elemental_reference_entries(given.elements)
    ]
    known = {material.id for material in materials()}
    larger = sorted(
        (reduced_formula(formula_unit_of(entry.formula)), entry.id, f"{entry.energy_per_atom:.4f}")
        for entry in table_entries(given.energies)
        if entry.id not in known
    )
    table = written(("element", "energy_per_atom", "entry_id"), elements)
    (FOLDER / "elements.csv").write_bytes(table)
    packed = gzip.compress(
        written(("material_id", "formula", "formation_energy_per_atom"), [(i, f, e) for f, i, e in larger]), 9, mtime=0
    )
    (FOLDER / "larger.csv.gz").write_bytes(packed)
    print(f"wrote {len(elements)} elements, {len(larger)} materials ({len(packed) / 1e3:.0f} kB)")


if __name__ == "__main__":
    main()
