"""The hull of what training could know: a reference.csv without the materials of MP-20's validation and test sets.

    python bench/training_hull.py results/hull/reference.csv reference_train.csv

Labels over it, and features of `--splits train`, tell a stability model nothing of the materials that it is to find
again.
Materials of MP-20's validation and test sets go, by their ids and also by formula: a larger cell of the same material,
or a copy under another id, would tell as much.  Elements stay: every composition needs its terminals.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from symmcd.crystallography.composition import SYMBOLS, parse_formula, reduced_formula
from symmcd.errors import InputError
from symmcd.stability.hull_entries import read_entries, write_entries
from symmcd.stability_model.materials import materials

parser = argparse.ArgumentParser()
parser.add_argument("reference", type=Path)
parser.add_argument("output", type=Path)
given = parser.parse_args()

training = {m.formula for m in materials() if m.split == "train"}
ids = {m.id for m in materials() if m.split != "train"}
formulas = {m.formula for m in materials() if m.split != "train"} - training


def formula_of(text: str) -> str:
    try:
        return reduced_formula(parse_formula(text))
    except InputError:  # amounts that are no whole numbers, which MP-20 has none of
        return text


kept = {
    f"{name}, training materials": [
        e for e in entries if e.formula in SYMBOLS or (e.id not in ids and formula_of(e.formula) not in formulas)
    ]
    for name, entries in read_entries(given.reference).items()
}
for name, entries in kept.items():
    write_entries(given.output, name, entries)
    print(f"{name}: {len(entries)} entries")
