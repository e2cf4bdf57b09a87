"""MP-20's 45,229 materials, which come with the package: formation energies, convex hulls of them, arrangements."""

from __future__ import annotations

import base64
import csv
import functools
import gzip
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from symmcd.crystallography import content
from symmcd.errors import InputError
from symmcd.stability.hull import ConvexHull, HullEntry
from symmcd.storage import read_units

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Material:
    """A material of the Materials Project."""

    id: str
    formula: str  # reduced
    space_group: int | None  # None if the table does not say
    formation_energy_per_atom: float  # eV/atom
    split: str  # split of MP-20: train, val or test
    arrangement: str  # `fingerprint` of it; empty if there is no asymmetric unit


def check_splits(splits: tuple[str, ...], fewest: int = 1) -> None:
    """Raise InputError unless `splits` are some of MP-20's, at least `fewest`."""
    if len(splits) < fewest or not set(splits) <= set(SPLITS):
        raise InputError(f"splits {list(splits)}: expected some of {', '.join(SPLITS)}")


@functools.cache
def materials() -> tuple[Material, ...]:
    """All materials of the table, which `tools/make_materials.py` makes."""
    packed = (resources.files("symmcd.stability_model") / "mp20.csv.gz").read_bytes()
    rows = csv.DictReader(gzip.decompress(packed).decode("ascii").splitlines())
    return tuple(
        Material(
            row["material_id"], row["formula"], int(row["space_group"]) if row["space_group"] else None,
            float(row["formation_energy_per_atom"]), row["split"], row["arrangement"],
        )
        for row in rows
    )  # fmt: skip


def fingerprint(arrangement: str) -> str:
    """48 bits of an arrangement (`content.arrangements`), as eight letters.

    Two different ones have the same once in 10¹⁴: of 10⁶ drafts and all materials less than one in a thousand.
    """
    return base64.urlsafe_b64encode(hashlib.blake2b(arrangement.encode(), digest_size=6).digest()).decode("ascii")


@functools.cache
def arrangements(splits: tuple[str, ...] = ("train",)) -> frozenset[str]:
    """Fingerprints of the arrangements of the materials of some splits; none of no splits.

    Raises:
        InputError: no such split.
    """
    check_splits(splits, fewest=0)
    return frozenset(m.arrangement for m in materials() if m.split in splits and m.arrangement)


def arrangements_of(sources: Iterable[str | Path]) -> frozenset[str]:
    """Fingerprints of the arrangements of splits of MP-20, by their names, and of files of asymmetric units.

    Raises:
        InputError: neither a split nor a file, or an unreadable one.
    """
    names = [str(source) for source in sources]
    found = set(arrangements(tuple(name for name in names if name in SPLITS)))
    for name in names:
        if name not in SPLITS:
            if not Path(name).is_file():
                raise InputError(f"{name}: cannot be left out: neither one of {', '.join(SPLITS)} nor a units.npz file")
            found |= {fingerprint(arrangement) for arrangement in content.arrangements(read_units(Path(name)))}
    return frozenset(found)


def hull_entries(splits: Iterable[str] = ("train",)) -> list[HullEntry]:
    """Entries of a hull on the scale of formation energies, on which the elements of the whole table lie at 0.

    Args:
        splits: of MP-20, whose materials are taken.  What is to be found again among the validation and test materials
            may be compared with training materials only: over a hull that has it, a material competes with itself.

    Raises:
        InputError: no such split, or none.
    """
    wanted = tuple(splits)
    check_splits(wanted)
    symbols = sorted({symbol for material in materials() for symbol in re.findall("[A-Z][a-z]?", material.formula)})
    origin = f"MP-20 {'+'.join(wanted)}"
    entries = [HullEntry(symbol, 0.0, "elemental_reference", origin) for symbol in symbols]
    return entries + [
        HullEntry(m.formula, m.formation_energy_per_atom, "formation_energy", origin, m.id)
        for m in materials()
        if m.split in wanted
    ]


@functools.cache
def hull(splits: tuple[str, ...] = ("train",)) -> ConvexHull:
    """The convex hull of `hull_entries`, made once; it takes some seconds."""
    return ConvexHull(hull_entries(splits))
