"""Stage ``download`` (interim: local folders only)."""
from __future__ import annotations
import csv, gzip, hashlib, json
from pathlib import Path
import numpy as np
from symmcd.errors import InputError
from symmcd.settings import DataSettings
from symmcd.storage import atomic_path
from symmcd.structures.read import open_text

COLUMNS = ("material_id", "cif", "formation_energy_per_atom", "e_above_hull")


def run(output_dir: Path, settings: DataSettings) -> None:
    folder = Path(settings.source)
    about = {"source": settings.source, "files": {}}
    for split in ("train", "val", "test"):
        path = next((p for p in (folder / f"{split}.csv", folder / f"{split}.csv.gz") if p.exists()), None)
        if path is None:
            raise InputError(f"{folder.absolute()}: no {split}.csv or {split}.csv.gz here")
        with open_text(path) as file:
            rows = list(csv.DictReader(file))
        if settings.limit and settings.limit < len(rows):
            rows = [rows[i] for i in sorted(np.random.default_rng(settings.split_seed).choice(len(rows), settings.limit, replace=False))]
        out = output_dir / f"{split}.csv.gz"
        with atomic_path(out) as temporary, temporary.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as packed:
            import io
            text = io.TextIOWrapper(packed, encoding="utf-8", newline="")
            writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
            writer.writeheader(); writer.writerows(rows); text.flush()
        about["files"][out.name] = {"sha256": hashlib.sha256(out.read_bytes()).hexdigest(), "rows": len(rows)}
        print(f"wrote {out} ({len(rows)} crystals)")
    with atomic_path(output_dir / "source.json") as temporary:
        temporary.write_text(json.dumps(about, indent=1))
