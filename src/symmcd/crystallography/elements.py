"""Masses and electronegativities of the elements, by atomic number."""

from __future__ import annotations

import csv
import functools
import math
from importlib import resources


@functools.cache
def atomic_masses() -> tuple[float, ...]:
    """(119,) standard atomic weights in Da (IUPAC 2016), of the most stable isotope where there is none; [0] is 0."""
    return (0.0, *(float(row["mass"]) for row in _rows()))


@functools.cache
def electronegativities() -> tuple[float, ...]:
    """(119,) Pauling's scale; infinite where there is no value (He, Ne, Ar, from Rf on), and [0] too."""
    return (math.inf, *(float(row["electronegativity"] or "inf") for row in _rows()))


def _rows() -> list[dict[str, str]]:
    text = (resources.files("symmcd.crystallography") / "tables/elements.csv").read_text(encoding="ascii")
    return list(csv.DictReader(text.splitlines()))
