"""Masses and electronegativities of the elements, by atomic number."""

from __future__ import annotations

import functools
import math

from symmcd.crystallography.table_files import read_table


@functools.cache
def atomic_masses() -> tuple[float, ...]:
    """(119,) standard atomic weights in Da (IUPAC 2016), of the most stable isotope if there is none; [0] is 0."""
    return (0.0, *(float(row["mass"]) for row in read_table("elements.csv")))


@functools.cache
def electronegativities() -> tuple[float, ...]:
    """(119,) Pauling's scale; infinite where there is no value (He, Ne, Ar, from Rf on), and [0] too."""
    return (math.inf, *(float(row["electronegativity"] or "inf") for row in read_table("elements.csv")))
