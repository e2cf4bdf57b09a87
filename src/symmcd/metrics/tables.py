"""The per-crystal table as files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from symmcd.storage import atomic_path

WHOLE = ("atoms", "elements", "space_group", "space_group_found", "space_group_found_tight")
"""Columns of whole numbers that may be missing."""


def write_per_crystal(folder: Path, table: pd.DataFrame) -> list[Path]:
    """Write per_crystal.csv and per_crystal.parquet, the same table."""
    csv, parquet = folder / "per_crystal.csv", folder / "per_crystal.parquet"
    with atomic_path(csv) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    with atomic_path(parquet) as temporary:
        table.to_parquet(temporary, index=False)
    return [csv, parquet]
