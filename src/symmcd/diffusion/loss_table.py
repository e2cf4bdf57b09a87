"""``losses.csv``: one row per epoch, with the losses of a network on training and validation crystals."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from symmcd.storage import atomic_path


def loss_columns(names: Sequence[str]) -> tuple[str, ...]:
    """Columns of ``losses.csv``, given the names of the losses."""
    return ("epoch", "seconds", *(f"{split}_{name}" for split in ("train", "val") for name in names))


def write_losses(path: Path, rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    """Write ``losses.csv``; validation columns are empty in epochs without validation."""
    columns = loss_columns(names)
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)


def described(row: Mapping[str, Any], epochs: int, names: Sequence[str]) -> str:
    """One line for the log."""
    parts = [f"epoch {row['epoch']}/{epochs}, {row['seconds']:.1f} s"]
    for split in ("train", "val"):
        if f"{split}_total" in row:
            values = ", ".join(f"{name} {row[f'{split}_{name}']:.4f}" for name in names)
            parts.append(f"{split}: {values}")
    return "; ".join(parts)
