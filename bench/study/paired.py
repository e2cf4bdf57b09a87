"""Two checkpoints that differ in the network for positions and elements only, compared crystal by crystal.

    python bench/study/paired.py A.safetensors B.safetensors --output paired/ [--number 4000] [--relaxed 2000]

Draft k of both is drawn with the same random numbers, so most drafts of two similar networks are the same crystals, and
what differs between the sets comes from the others alone: the difference of two rates is known as well as from two or
three times as many independent crystals.  Written are a.npz and b.npz, and to_relax.npz: `--relaxed` crystals of A, and
those of B that are others.  After `symmcd relax` of it into relaxed.csv and relaxed.extxyz,

    python bench/study/paired.py A.safetensors B.safetensors --output paired/ --split

writes a.csv, a.extxyz, b.csv and b.extxyz for `symmcd hull` and `symmcd sun`; and with a.per.csv, b.per.csv of `symmcd
sun` and a/per_crystal.csv, b/per_crystal.csv of `symmcd evaluate` there, `--print` prints the paired differences.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ase.io
import numpy as np
import pandas as pd

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits, labels_of
from symmcd.crystallography.drafts import Drafts
from symmcd.diffusion.pool import BLOCK
from symmcd.diffusion.pretrained import load_pretrained
from symmcd.storage import write_units

NAMES = ("a", "b")


def drafts(weights: str, number: int) -> Drafts:
    generator = load_pretrained(weights, device="cpu")
    blocks = [np.arange(first, min(first + BLOCK, number)) for first in range(0, number, BLOCK)]
    return Drafts.concatenate([generator.draft(block, seed=0) for block in blocks])


def same(a: Drafts, b: Drafts) -> np.ndarray:
    """(B,) where both are one crystal."""
    pairs = zip(a.space_group, b.space_group, a.letters, b.letters, a.elements, b.elements, strict=True)
    return np.array([g == h and v == w and x == y for g, h, v, w, x, y in pairs])


def make(weights: dict[str, str], number: int, relaxed: int, output: Path) -> None:
    a, b = (drafts(weights[name], number) for name in NAMES)
    others = np.flatnonzero(~same(a, b))
    print(f"{len(others)} of {number} drafts differ", flush=True)
    labels = labels_of(np.arange(number), number - 1)
    generator = load_pretrained(weights["a"], device="cpu")  # the geometry network of both
    units_a = AsymmetricUnits.from_units(generator.with_geometries(a), labels)
    made = AsymmetricUnits.from_units(generator.with_geometries(b.take(others)))
    at = np.arange(number)
    at[others] = number + np.arange(len(others))
    both = AsymmetricUnits.concatenate([units_a, made])
    units_b = AsymmetricUnits.from_units([both[int(row)] for row in at], labels)
    first = others[others < relaxed]
    names = [*(f"a{label}" for label in labels[:relaxed]), *(f"b{labels[row]}" for row in first)]
    every = [*(units_a[row] for row in range(relaxed)), *(units_b[int(row)] for row in first)]
    for name, units in {"a": units_a, "b": units_b, "to_relax": AsymmetricUnits.from_units(every, names)}.items():
        write_units(output / f"{name}.npz", units)
    print(f"{relaxed} of A and {len(first)} others of B to relax")


def split(output: Path) -> None:
    """What was relaxed once, for both."""
    table = pd.read_csv(output / "relaxed.csv", dtype=str, keep_default_na=False)
    frames = {atoms.info["id"]: atoms for atoms in ase.io.read(output / "relaxed.extxyz", ":")}
    own = table["id"].str[0] == "b"
    number = table["id"].str[1:]
    parts = {"a": table[~own], "b": pd.concat([table[~own & ~number.isin(number[own])], table[own]])}
    for name, part in parts.items():
        rows = part.assign(id=part["id"].str[1:], drawn=str(len(part))).sort_values("id")
        rows.to_csv(output / f"{name}.csv", index=False)
        kept = []
        for label in part["id"]:
            if label in frames:
                atoms = frames[label].copy()
                atoms.info = frames[label].info | {"id": label[1:]}
                kept.append(atoms)
        ase.io.write(output / f"{name}.extxyz", kept)


def print_differences(output: Path) -> None:
    """Rates of both in %, their difference, and its standard error from the pairs."""
    print("| | n | A | B | B - A | standard error |\n|---|---|---|---|---|---|")
    of_all = [pd.read_csv(output / name / "per_crystal.csv", dtype={"id": str}).set_index("id") for name in NAMES]
    stable = [pd.read_csv(output / f"{name}.per.csv", dtype={"id": str}) for name in NAMES]
    rows = {}
    for column in of_all[0].columns:
        values = [table[column] for table in of_all]
        if all(value.dropna().isin([True, False]).all() and len(value.dropna()) for value in values):
            rows[column] = [value.fillna(False).astype(float) for value in values]
    for column in stable[0].columns:
        if column.startswith(("initially_stable_at", "relaxed_stable_at", "sun_")):
            rows[column] = [table.set_index("id")[column].fillna(False).astype(float) for table in stable]
    for name, (a, b) in rows.items():
        change = (b - a.reindex(b.index)).to_numpy()
        error = change.std(ddof=1) / np.sqrt(len(change))
        print(f"| {name} | {len(a)} | {100 * a.mean():.1f} | {100 * b.mean():.1f} "
              f"| {100 * change.mean():+.2f} | {100 * error:.2f} |")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a")
    parser.add_argument("b")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--number", type=int, default=4000)
    parser.add_argument("--relaxed", type=int, default=2000)
    parser.add_argument("--split", action="store_true")
    parser.add_argument("--print", action="store_true")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    if given.split:
        split(given.output)
    elif given.print:
        print_differences(given.output)
    else:
        make({"a": given.a, "b": given.b}, given.number, given.relaxed, given.output)


if __name__ == "__main__":
    main()
