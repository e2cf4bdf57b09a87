"""Stage ``summarise``: scored shards → one table of crystals, and metrics of the whole set with 95 % intervals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from symmcd.errors import InputError
from symmcd.metrics.set_summary import Reference, summarise_set, write_summary
from symmcd.metrics.templates import templates
from symmcd.settings import ScoreSettings
from symmcd.storage import atomic_path, read_units


def run(
    shards: list[Path], units: Path, train: Path, reference: Path, output_dir: Path, settings: ScoreSettings, seed: int
) -> None:
    """Write per_crystal.csv (all shards, with templates) and summary.csv.

    Raises:
        InputError: a shard is missing, or the shards are not those of `units`.
    """
    generated, trained, held_out = read_units(units), read_units(train), read_units(reference)
    table = read_shards(shards)
    if sorted(table["id"]) != sorted(generated.label.tolist()):
        raise InputError(
            f"{len(table)} scored crystals do not match the {len(generated)} of {units}; run `symmcd score` again"
        )
    table = table.set_index("id").loc[generated.label].reset_index()
    whole = ["atoms", "elements", "space_group", "space_group_found", "space_group_found_tight"]
    table = table.astype(dict.fromkeys(whole, "Int64"))  # an unscored crystal must not turn 225 into 225.0
    table["template"] = templates(generated)
    table["template_in_train"] = np.isin(table["template"], templates(trained))
    with atomic_path(output_dir / "per_crystal.csv") as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    rows = summarise_set(table, templates(trained), Reference.of(held_out), settings.distribution_sample, seed)
    write_summary(output_dir / "summary.csv", rows)
    print(f"wrote {output_dir / 'per_crystal.csv'} ({len(table)} crystals)")
    print(f"wrote {output_dir / 'summary.csv'} ({len(rows)} metrics)")


def read_shards(paths: list[Path]) -> pd.DataFrame:
    """All rows of the shards' tables.

    Raises:
        InputError: a file is missing or is no such table.
    """
    parts = []
    for path in paths:
        try:
            parts.append(pd.read_csv(path, dtype={"id": str, "formula": str}, keep_default_na=False, na_values=[""]))
        except (OSError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            raise InputError(f"{path}: not a readable table ({error}); run `symmcd score` again") from None
    return pd.concat(parts, ignore_index=True)
