"""The csv files of ``tables/``, which `tools/make_tables.py` makes."""

from __future__ import annotations

import csv
from importlib import resources


def table_text(name: str) -> str:
    """Text of a table, such as ``wyckoff.csv``."""
    return (resources.files("symmcd.crystallography") / "tables" / name).read_text(encoding="ascii")


def read_table(name: str) -> list[dict[str, str]]:
    """Rows of a table, by heading."""
    return list(csv.DictReader(table_text(name).splitlines()))
