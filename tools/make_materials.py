"""Write ``src/symmcd/stability_model/mp20.csv.gz``: formation energies of MP-20's materials, by split.

    python tools/make_materials.py FOLDER UNITS

FOLDER has MP-20 as CDVAE published it: train.csv, val.csv and test.csv, plain or gzip, with the columns material_id,
pretty_formula, formation_energy_per_atom and spacegroup.number.  Materials that stand only in a file {split}_index.csv
beside them, which has no structures and no space groups, are taken too, with a blank space group.
UNITS has train.npz, val.npz and test.npz of ``symmcd reduce``, for the arrangement of each material; it is blank where
there is no asymmetric unit.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import sys
from pathlib import Path

from symmcd.crystallography import content
from symmcd.crystallography.composition import formula_unit_of, reduced_formula
from symmcd.stability_model.materials import fingerprint
from symmcd.storage import read_units

SPLITS = ("train", "val", "test")
TABLE = Path(__file__).parent.parent / "src/symmcd/stability_model/mp20.csv.gz"
COLUMNS = ("material_id", "formula", "space_group", "formation_energy_per_atom", "split", "arrangement")
Row = tuple[str, str, str, str, str, str]


def rows_of(path: Path) -> list[dict[str, str]]:
    """Rows of a csv, plain or gzip; none where there is no such file."""
    for file in (path, path.with_name(f"{path.name}.gz")):
        if file.exists():
            text = gzip.decompress(file.read_bytes()).decode() if file.suffix == ".gz" else file.read_text()
            csv.field_size_limit(10**7)
            return list(csv.DictReader(io.StringIO(text)))
    return []


def arrangements(folder: Path) -> dict[str, str]:
    """Fingerprint of the arrangement of each material, by its id."""
    found: dict[str, str] = {}
    for split in SPLITS:
        units = read_units(folder / f"{split}.npz")
        found |= zip(units.label.tolist(), map(fingerprint, content.arrangements(units)), strict=True)
    return found


def materials(folder: Path, arrangement: dict[str, str]) -> list[Row]:
    """A row a material, of `COLUMNS`, sorted by formula."""
    found: dict[str, Row] = {}
    for split in SPLITS:
        rows = rows_of(folder / f"{split}.csv")
        if not rows:
            sys.exit(f"{folder / split}.csv: not there, nor {split}.csv.gz")
        for row in [*rows, *rows_of(folder / f"{split}_index.csv")]:
            name = row["material_id"]
            if name not in found:
                formula = reduced_formula(formula_unit_of(row["pretty_formula"]))
                energy = f"{float(row['formation_energy_per_atom']):.4f}".replace("-0.0000", "0.0000")
                group = row.get("spacegroup.number", "")
                found[name] = name, formula, group, energy, split, arrangement.get(name, "")
            elif found[name][4] != split:
                sys.exit(f"{name} is in the splits {found[name][4]} and {split}")
    return sorted(found.values(), key=lambda row: (row[1], row[0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("units", type=Path)
    given = parser.parse_args()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    rows = materials(given.folder, arrangements(given.units))
    writer.writerows(rows)
    TABLE.write_bytes(gzip.compress(text.getvalue().encode("ascii"), 9, mtime=0))
    placed = sum(bool(row[-1]) for row in rows)
    print(f"wrote {TABLE} ({len(rows)} materials, {placed} with an arrangement, {TABLE.stat().st_size / 1e3:.0f} kB)")


if __name__ == "__main__":
    main()
