"""Table 5 of the paper: errors of the trained predictors beside the published ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from symmcd.formation_energy.predictor import read_metadata
from symmcd.metrics.paper_tables import predictors_of_run
from symmcd.metrics.published import of_symmcd
from symmcd.metrics.typeset_tables import write_table
from symmcd.settings import PREDICTOR_VARIANTS
from symmcd.storage import atomic_path

COLUMNS = ("variant", "mae", "low", "high", "n", "published", "train_crystals", "epochs", "minutes", "note")


def write_table_5(output: Path, variants: tuple[str, ...]) -> None:
    """table5.csv, .md and .tex of the predictors in `output`; what was not trained is a row that says so."""
    rows = []
    for variant in PREDICTOR_VARIANTS:
        metadata = read_metadata(output / f"{variant}.safetensors") if variant in variants else {}
        row: dict[str, Any] = {name: metadata.get(name) for name in COLUMNS}
        row |= {"variant": variant, "published": float(of_symmcd(variant))}
        row["note"] = "not among predictor.variants" if variant not in variants else metadata.get("absent", "trained")
        row["minutes"] = round(metadata["seconds"] / 60, 1) if "seconds" in metadata else None
        rows.append(row)
    path = output / "table5.csv"
    with atomic_path(path) as temporary:
        pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(
            temporary, index=False, float_format="%.6g", lineterminator="\n"
        )
    print(f"wrote {path} ({len(variants)} predictors)")
    for path in write_table(output, predictors_of_run(rows)):
        print(f"wrote {path}")
