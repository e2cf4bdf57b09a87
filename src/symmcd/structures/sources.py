"""Data of sources: tables, CIFs and prototypes as rows, and the division of rows into train, val and test."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from symmcd.errors import InputError
from symmcd.extensions import POTENTIALS, SOURCES
from symmcd.structures.cell import Cell
from symmcd.structures.cif import StructureError, atomic_number, parse_cif
from symmcd.structures.convert import from_object
from symmcd.structures.read import RawRow, read_rows
from symmcd.structures.write import p1_cif

SPLITS = ("train", "val", "test")
LOOKED_AT = 200  # validation crystals whose elements are compared with those of the training set
PROTOTYPE_ATOMS = 20  # as in MP-20; the few larger ones would take most of the quickstart's time


@dataclass(frozen=True)
class Raw:
    """Data of a source: rows in splits of its own, or in one piece that is still to be divided."""

    rows: Sequence[RawRow] = ()  # in one piece
    splits: Mapping[str, Sequence[RawRow]] = field(default_factory=dict)  # or train, val and test
    inputs: Sequence[Path] = ()  # tables that were read
    left_out: Mapping[str, str] = field(default_factory=dict)  # crystal -> why it is in no split

    def divided(self, shares: Sequence[float], seed: int) -> dict[str, list[RawRow]]:
        """Train, val and test: the source's own, or random parts of which a model can be trained (`trainable`).

        Raises:
            InputError: a part would be empty, or the source has other splits, or what are no rows.
        """
        if self.splits and set(self.splits) != set(SPLITS):
            raise InputError(f"the source has the splits {', '.join(self.splits)}; expected {', '.join(SPLITS)}")
        for rows in (self.rows, *self.splits.values()):
            if others := [type(row).__name__ for row in rows if not isinstance(row, RawRow)]:
                raise InputError(f"the source gave {others[0]} for a crystal; expected a result of `row_of`")
        if self.splits:
            return {split: list(self.splits[split]) for split in SPLITS}
        return trainable(divided(self.rows, shares, seed))


def tables(files: Mapping[str, Path]) -> Raw:
    """The tables train, val and test, whose files are called so (``train.csv`` …).

    Raises:
        InputError: one is missing, damaged, or has no column ``cif``.
    """
    paths = {split: path for split in SPLITS for name, path in files.items() if name.partition(".")[0] == split}
    return Raw(splits={split: list(read_rows(paths[split])) for split in SPLITS}, inputs=[paths[s] for s in SPLITS])


def own_files(place: Path) -> Raw:
    """Crystals of a folder with tables train, val and test, of a folder of CIFs, or of a csv file.

    Raises:
        InputError: no such file or folder, nothing in it, or only some of the three tables.
    """
    files = split_files(place) if place.is_dir() else None
    if files is not None:
        return tables({path.name: path for path in files.values()})
    rows, left_out = whole_source(place)
    return Raw(rows, inputs=[place] if place.is_file() else [], left_out=left_out)


def row_of(number: int, name: str, crystal: object, properties: Mapping[str, float] | None = None) -> RawRow:
    """A crystal of a Python source as a row.

    Args:
        number: 1 for the first.
        name: its material_id.
        crystal: a `Cell`, pymatgen's structure, ASE's atoms or an asymmetric unit.
        properties: of `read.PROPERTIES`, eV/atom.

    Raises:
        InputError: another thing, or no ordered crystal of elements.
    """
    cell = crystal if isinstance(crystal, Cell) else from_object(crystal)
    return RawRow(number, name, p1_cif(name, cell), properties or {})


def split_files(folder: Path) -> dict[str, Path] | None:
    """The tables train, val and test of a folder, plain or gzip; None if it has none of them.

    Raises:
        InputError: it has some but not all.
    """
    paths = {
        split: path
        for split in SPLITS
        for path in (folder / f"{split}.csv.gz", folder / f"{split}.csv")
        if path.is_file()
    }
    if paths and len(paths) < len(SPLITS):
        missing = [split for split in SPLITS if split not in paths]
        raise InputError(
            f"{folder.absolute()}: has {', '.join(sorted(paths))} but lacks {', '.join(missing)} (.csv or .csv.gz)"
        )
    return paths or None


def state_of(place: Path) -> dict[str, str | tuple[int, int]]:
    """State of a place, to notice changes: hashes of a file or of tables; sizes and times of a folder of CIFs."""
    if not place.exists():
        return {}
    if place.is_file():
        return {place.name: sha256(place)}
    if tables := split_files(place):
        return {path.name: sha256(path) for path in tables.values()}
    files = ((path, path.stat()) for path in sorted(place.rglob("*")) if path.is_file())
    return {str(path): (about.st_size, about.st_mtime_ns) for path, about in files}


def sha256(path: Path) -> str:
    """SHA-256 of a file, as text."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def whole_source(source: Path) -> tuple[list[RawRow], dict[str, str]]:
    """All rows of a source that comes in one piece: a csv file or a folder of CIFs.

    Returns:
        The rows, and the reason for each file that is too large to be one, by its name.

    Raises:
        InputError: no such file or folder, or nothing in it.
    """
    if not source.exists():
        raise InputError(
            f"data.source: {source.absolute()} does not exist; give {', '.join(SOURCES)}, or an existing folder or csv "
            "file"
        )
    rows = list(read_rows(source))
    if not rows:
        raise InputError(f"{source}: no rows; expected a csv with the columns material_id and cif")
    usable = [row for row in rows if not row.problem]
    if not usable:
        raise InputError(f"{source}: none of its CIFs can be read; {rows[0].material_id} has {rows[0].problem}")
    return usable, {row.material_id: row.problem for row in rows if row.problem}


def divided(rows: Sequence[RawRow], shares: Sequence[float], seed: int) -> dict[str, list[RawRow]]:
    """Rows in random train, val and test parts of the given shares, each part in the original order.

    Raises:
        InputError: a part would be empty.
    """
    order = np.random.default_rng(seed).permutation(len(rows))
    ends = np.rint(np.cumsum(shares) / np.sum(shares) * len(rows)).astype(int)
    parts = {
        split: [rows[i] for i in np.sort(order[begin:end])]
        for split, begin, end in zip(SPLITS, [0, *ends[:-1]], ends, strict=True)
    }
    empty = [split for split, part in parts.items() if not part]
    if empty:
        raise InputError(
            f"data.split = {tuple(shares)} leaves {', '.join(empty)} without any of the {len(rows)} crystals"
        )
    return parts


def elements_of(row: RawRow) -> frozenset[int] | None:
    """Atomic numbers in a row's crystal; None of one that cannot be read, which `symmcd reduce` will reject."""
    try:
        return frozenset(parse_cif(row.cif).element.tolist())
    except StructureError:
        return None


def covered(train: Sequence[RawRow], val: Sequence[RawRow]) -> bool:
    """Return whether half of the validation crystals or more have no element that no training crystal has.

    Of many, `LOOKED_AT` are looked at, and training crystals are read only until these are covered.
    """
    wanted = [found for row in val[:LOOKED_AT] if (found := elements_of(row)) is not None]
    seen: set[int] = set()
    for row in train:
        if 2 * sum(elements <= seen for elements in wanted) >= len(wanted):
            return True
        seen |= elements_of(row) or frozenset()
    return 2 * sum(elements <= seen for elements in wanted) >= len(wanted)


def trainable(parts: Mapping[str, Sequence[RawRow]]) -> dict[str, list[RawRow]]:
    """Parts to train and validate with: the given ones if possible, otherwise crystals move between them.

    A validation crystal with an element that no training crystal has cannot test a model.  If most are such, each is
    exchanged for the first training crystal whose elements other training crystals have too; if there is none, it
    stays.  Parts keep their sizes, and rows their order within a part.
    """
    train, val = list(parts["train"]), list(parts["val"])
    if covered(train, val):
        return {split: list(rows) for split, rows in parts.items()}
    elements = {id(row): elements_of(row) or frozenset() for row in (*train, *val)}
    count = Counter(z for row in train for z in elements[id(row)])
    for place, row in enumerate(val):
        if all(count[z] for z in elements[id(row)]):
            continue
        with_row = count + Counter(elements[id(row)])
        for other, spare in enumerate(train):
            theirs = elements[id(spare)]
            if theirs and all(with_row[z] > 1 for z in theirs):
                train[other], val[place] = row, spare
                count = with_row - Counter(theirs)
                break
    order = {id(row): number for number, row in enumerate(sorted((*train, *val), key=lambda row: row.number))}
    return {
        "train": sorted(train, key=lambda row: order[id(row)]),
        "val": sorted(val, key=lambda row: order[id(row)]),
        "test": list(parts["test"]),
    }


def limited(rows: Sequence[RawRow], limit: int, seed: int | Sequence[int]) -> list[RawRow]:
    """Take at most `limit` random rows in their original order; all of them for limit 0."""
    if not 0 < limit < len(rows):
        return list(rows)
    chosen = np.random.default_rng(seed).choice(len(rows), limit, replace=False)
    return [rows[i] for i in np.sort(chosen)]


def prototypes() -> Raw:
    """The crystals that stand for AFLOW's prototypes in pymatgen, as P1 CIFs of the cells given there.

    Returns:
        The crystals of at most `PROTOTYPE_ATOMS` atoms, of elements that CHGNet was trained on, and the reason for each
        of the others by its name.  Names are AFLOW's label and the formula.

    Source:
        Mehl et al. (2017), doi:10.1016/j.commatsci.2017.01.017; real compounds at experimental geometries.

    Raises:
        InputError: this pymatgen has no such file.
    """
    rows, left_out, names = [], {}, Counter[str]()
    known = POTENTIALS["chgnet"].elements
    for number, entry in enumerate(_aflow_entries(), start=1):
        lattice = np.array(entry["snl"]["lattice"]["matrix"])
        sites = entry["snl"]["sites"]
        element = np.array([atomic_number(site["species"][0]["element"]) for site in sites])
        symbols, counts = np.unique([site["species"][0]["element"] for site in sites], return_counts=True)
        divisor = np.gcd.reduce(counts)
        formula = "".join(f"{s}{n if n > 1 else ''}" for s, n in zip(symbols, counts // divisor, strict=True))
        name = f"{entry['tags']['aflow']}_{formula}"
        names[name] += 1
        if names[name] > 1:
            name = f"{name}_{names[name]}"
        unknown = sorted(set(symbols[[atomic_number(s) not in known for s in symbols.tolist()]]))
        if len(sites) > PROTOTYPE_ATOMS:
            left_out[name] = f"{len(sites)} atoms, more than {PROTOTYPE_ATOMS}"
        elif unknown:
            left_out[name] = f"CHGNet does not know {', '.join(unknown)}"
        else:
            rows.append(row_of(number, name, Cell(lattice, element, np.array([site["abc"] for site in sites]))))
    return Raw(rows, left_out=left_out)


def _aflow_entries() -> list[dict[str, Any]]:
    """Content of pymatgen's file.

    Read as it lies there: importing ``pymatgen.analysis.prototypes``, which also does so, takes seconds.
    """
    folder = resources.files("pymatgen.analysis")
    for name in ("prototypes/aflow_prototypes.json.gz", "aflow_prototypes.json.gz", "aflow_prototypes.json"):
        file = folder / name
        if file.is_file():
            content = file.read_bytes()
            return json.loads(gzip.decompress(content) if name.endswith(".gz") else content)
    raise InputError(
        "data.source = prototypes: this pymatgen has no aflow_prototypes.json; install the one of requirements.lock"
    )
