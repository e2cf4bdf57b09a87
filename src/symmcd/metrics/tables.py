"""The per-crystal table as files."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pandas as pd

from symmcd.storage import atomic_path

WHOLE = ("atoms", "elements", "space_group", "space_group_found", "space_group_found_tight")
"""Columns of whole numbers that may be missing."""


def write_per_crystal(folder: Path, table: pd.DataFrame) -> list[Path]:
    """Write per_crystal.csv, and per_crystal.parquet where pyarrow is installed (and say so where it is not)."""
    written = [folder / "per_crystal.csv"]
    with atomic_path(written[0]) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    parquet = folder / "per_crystal.parquet"
    if importlib.util.find_spec("pyarrow") is None:
        parquet.unlink(missing_ok=True)  # of an earlier run
        print(f"not written: {parquet} (`pip install pyarrow` for parquet beside csv)")
        return written
    with atomic_path(parquet) as temporary:
        table.to_parquet(temporary, index=False)
    return [*written, parquet]
