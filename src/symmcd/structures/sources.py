"""Where raw crystals come from when they lie on this machine: folders, tables, and pymatgen's AFLOW prototypes."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from symmcd.errors import InputError
from symmcd.structures.read import Row, read_rows

SPLITS = ("train", "val", "test")


def split_files(folder: Path) -> dict[str, Path] | None:
    """The tables train, val and test of a folder, plain or gzip; None if it has none of them.

    Raises:
        InputError: it has some but not all.
    """
    found = {
        split: path
        for split in SPLITS
        for path in (folder / f"{split}.csv.gz", folder / f"{split}.csv")
        if path.is_file()
    }
    if found and len(found) < len(SPLITS):
        missing = [split for split in SPLITS if split not in found]
        raise InputError(f"{folder.absolute()}: has {', '.join(sorted(found))} but lacks {', '.join(missing)} (.csv or .csv.gz)")
    return found or None


def cif_rows(folder: Path) -> Iterator[Row]:
    """Every CIF of a folder, in order of name; the name without .cif is the material id.

    Raises:
        InputError: there is none.
    """
    paths = sorted(folder.glob("*.cif"))
    if not paths:
        raise InputError(f"{folder.absolute()}: no train/val/test tables and no .cif files here; check data.source")
    for number, path in enumerate(paths, start=1):
        yield Row(number, path.stem, path.read_text(encoding="utf-8", errors="replace"), {})


def whole_source(source: Path) -> list[Row]:
    """All rows of a source that comes in one piece: a csv file or a folder of CIFs.

    Raises:
        InputError: no such file or folder, or nothing in it.
    """
    if not source.exists():
        raise InputError(
            f"data.source: {source.absolute()} does not exist; give mp20, prototypes, or an existing folder or csv file"
        )
    rows = list(cif_rows(source) if source.is_dir() else read_rows(source))
    if not rows:
        raise InputError(f"{source}: no rows; expected a csv with the columns material_id and cif")
    return rows


def divided(rows: Sequence[Row], shares: Sequence[float], seed: int) -> dict[str, list[Row]]:
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
        raise InputError(f"data.split = {tuple(shares)} leaves {', '.join(empty)} of {len(rows)} crystals empty")
    return parts


def limited(rows: Sequence[Row], limit: int, seed: int) -> list[Row]:
    """At most `limit` random rows in their original order; all of them for limit 0."""
    if not 0 < limit < len(rows):
        return list(rows)
    chosen = np.random.default_rng(seed).choice(len(rows), limit, replace=False)
    return [rows[i] for i in np.sort(chosen)]


def prototypes() -> list[Row]:
    """The crystals that stand for AFLOW's prototypes in pymatgen (Mehl et al. 2017), as P1 CIFs of their primitive cells."""
    from pymatgen.core import Structure
    from pymatgen.io.cif import CifWriter

    packed = resources.files("pymatgen.analysis.prototypes") / "aflow_prototypes.json.gz"
    entries: Iterable[dict[str, dict[str, str]]] = json.loads(gzip.decompress(packed.read_bytes()))
    rows = []
    for number, entry in enumerate(entries, start=1):
        structure = Structure.from_dict(entry["snl"])
        name = re.sub(r"[^\w.-]+", "_", f"{entry['tags']['aflow']}_{structure.composition.reduced_formula}")
        rows.append(Row(number, name, str(CifWriter(structure, significant_figures=8)), {}))
    return rows
