"""Stage ``download``: raw crystals from the public MP-20, a local source or pymatgen's prototypes → one table a split."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from symmcd.settings import DataSettings
from symmcd.storage import atomic_path
from symmcd.structures.fetch import fetch
from symmcd.structures.read import PROPERTIES, Row, read_rows
from symmcd.structures.sources import SPLITS, divided, limited, prototypes, split_files, whole_source

MP20_BLOBS = {  # git blob ids of data/mp_20/<split>.csv in txie-93/cdvae, branch main
    "train": "b1c9d498565ac2fd8d075a51ff2ef5e51ba6c21f",
    "val": "7efe4d7ebeb4f460ceaad35e5326c42111d9c9a1",
    "test": "5dc643041df53f5ce4970a79930ad262b4f07acd",
}


def run(output_dir: Path, settings: DataSettings) -> None:
    """Write train, val and test tables (``csv.gz``, byte-reproducible) and source.json.

    Raises:
        InputError: the source is not there, damaged, empty, or cannot be downloaded and verified.
    """
    parts = {split: limited(rows, settings.limit, settings.split_seed) for split, rows in _rows(output_dir, settings).items()}
    files = {}
    for split, rows in parts.items():
        path = output_dir / f"{split}.csv.gz"
        write_rows(path, rows)
        files[path.name] = {"rows": len(rows), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        print(f"wrote {path} ({len(rows)} crystals)")
    about = {"source": settings.source, "rows": {split: len(rows) for split, rows in parts.items()}, "files": files}
    with atomic_path(output_dir / "source.json") as temporary:
        temporary.write_text(json.dumps(about, indent=2) + "\n")
    print(f"wrote {output_dir / 'source.json'}")


def _rows(output_dir: Path, settings: DataSettings) -> Mapping[str, Sequence[Row]]:
    """Rows of each split."""
    if settings.source == "prototypes":
        return divided(prototypes(), settings.split, settings.split_seed)
    if settings.source == "mp20":
        cache = output_dir / "original"
        for split in SPLITS:
            fetch(f"{settings.url}/{split}.csv", cache / f"{split}.csv", MP20_BLOBS[split], settings.retries)
        return {split: list(read_rows(cache / f"{split}.csv")) for split in SPLITS}
    source = Path(settings.source).expanduser()
    files = split_files(source) if source.is_dir() else None
    if files is None:
        return divided(whole_source(source), settings.split, settings.split_seed)
    return {split: list(read_rows(files[split])) for split in SPLITS}


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write a table; the same rows give the same bytes."""
    with (
        atomic_path(path) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("material_id", "cif", *PROPERTIES))
        writer.writerows((r.material_id, r.cif, *(r.properties.get(name, "") for name in PROPERTIES)) for r in rows)
