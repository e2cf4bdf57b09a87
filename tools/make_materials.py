"""Write ``src/symmcd/stability_model/mp20.csv.gz``: formation energies of MP-20's materials, by split.

    python tools/make_materials.py FOLDER

FOLDER has MP-20 as CDVAE published it: train.csv, val.csv and test.csv, plain or gzip, with the columns material_id,
pretty_formula, formation_energy_per_atom and spacegroup.number.  Materials that stand only in a file {split}_index.csv
beside them, which has no structures and no space groups, are taken too, with a blank space group.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import sys
from pathlib import Path

from symmcd.crystallography.composition import formula_unit_of, reduced_formula

SPLITS = ("train", "val", "test")
TABLE = Path(__file__).parent.parent / "src/symmcd/stability_model/mp20.csv.gz"
COLUMNS = ("material_id", "formula", "space_group", "formation_energy_per_atom", "split")


def rows_of(path: Path) -> list[dict[str, str]]:
    """Rows of a csv, plain or gzip; none where there is no such file."""
    for file in (path, path.with_name(f"{path.name}.gz")):
        if file.exists():
            text = gzip.decompress(file.read_bytes()).decode() if file.suffix == ".gz" else file.read_text()
            csv.field_size_limit(10**7)
            return list(csv.DictReader(io.StringIO(text)))
    return []


def materials(folder: Path) -> list[tuple[str, str, str, str, str]]:
    """A row a material, of `COLUMNS`, sorted by formula."""
    found: dict[str, tuple[str, str, str, str, str]] = {}
    for split in SPLITS:
        rows = rows_of(folder / f"{split}.csv")
        if not rows:
            sys.exit(f"{folder / split}.csv: not there, nor {split}.csv.gz")
        for row in [*rows, *rows_of(folder / f"{split}_index.csv")]:
            name = row["material_id"]
            if name not in found:
                formula = reduced_formula(formula_unit_of(row["pretty_formula"]))
                energy = f"{float(row['formation_energy_per_atom']):.4f}".replace("-0.0000", "0.0000")
                found[name] = name, formula, row.get("spacegroup.number", ""), energy, split
            elif found[name][-1] != split:
                sys.exit(f"{name} is in the splits {found[name][-1]} and {split}")
    return sorted(found.values(), key=lambda row: (row[1], row[0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    rows = materials(parser.parse_args().folder)
    writer.writerows(rows)
    TABLE.write_bytes(gzip.compress(text.getvalue().encode("ascii"), 9, mtime=0))
    print(f"wrote {TABLE} ({len(rows)} materials, {TABLE.stat().st_size / 1e3:.0f} kB)")


if __name__ == "__main__":
    main()
