"""Spread over seeds: rows of several runs, grouped by the quantity that they measure."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from symmcd.errors import InputError
from symmcd.metrics.oversampling import COLUMNS as OF_CHOICE
from symmcd.tables import check_numbers, read_rows
from symmcd.writing import atomic_path


class Measured(NamedTuple):
    """Key of a number; rows of summary.csv have only a metric and a protocol."""

    metric: str
    protocol: str
    judge: str = ""
    hull: str = ""
    threshold: str = ""  # eV/atom


HEAD = (*Measured._fields, "runs", "mean", "standard_deviation", "lowest", "highest")
NAMES = {*Measured._fields, "n", "n_with_energy", "draw", "draws", *OF_CHOICE}  # columns of sun.csv that do not vary


def spread(folders: Sequence[Path]) -> list[dict[str, str | int | float]]:
    """A row for each number that any of the runs has, in their order.

    Args:
        folders: results of runs that differ in their seeds, each with metrics/summary.csv and sun.csv.

    Returns:
        What is measured; ``runs`` that have the number; mean, standard deviation (of a sample, n - 1; blank for one
        run), lowest and highest; the number of each run under the name of its folder, blank if it has none.

    Raises:
        InputError: two folders of one name, or a table that is missing or damaged.
    """
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        raise InputError(f"{', '.join(names)}: two runs have the same name; rename their folders")
    found: dict[Measured, dict[str, float]] = {}
    for name, folder in zip(names, folders, strict=True):
        for measured, value in _numbers(folder):
            found.setdefault(measured, {})[name] = value
    rows: list[dict[str, str | int | float]] = []
    for measured, values in found.items():
        numbers = list(values.values())
        varies = statistics.stdev(numbers) if len(numbers) > 1 else ""
        of_all = (len(numbers), statistics.fmean(numbers), varies, min(numbers), max(numbers))
        of_each = {name: values.get(name, "") for name in names}
        rows.append(dict(zip(HEAD, (*measured, *of_all), strict=True)) | of_each)
    return rows


def write_spread(path: Path, rows: Sequence[dict[str, str | int | float]]) -> None:
    """Write rows of `spread` as csv, six significant digits."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else list(HEAD), lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)


def _numbers(folder: Path) -> Iterator[tuple[Measured, float]]:
    """Numbers of one run; of several draws of crystals, that of all together."""
    summary, stable = folder / "metrics/summary.csv", folder / "sun.csv"
    rows = read_rows(summary, ("metric", "protocol", "value"), "summarise")
    check_numbers(summary, rows, ("value",), "summarise")
    for row in rows:
        if row["value"]:
            yield Measured(row["metric"], row["protocol"]), float(row["value"])
    rows = read_rows(stable, (*Measured._fields[1:], "n"), "sun")
    shares = list(_shares(rows))
    check_numbers(stable, rows, shares, "sun")
    for row in rows:
        if row.get("draw", "all") == "all":
            for share in shares:
                if row[share]:
                    yield Measured(share, *(row[name] for name in Measured._fields[1:])), float(row[share])


def _shares(rows: Iterable[dict[str, str]]) -> Iterator[str]:
    """Columns of sun.csv that vary by chance: no names, counts or limits of intervals."""
    for name in next(iter(rows), {}):
        if name not in NAMES and not name.endswith(("_low", "_high")):
            yield name
