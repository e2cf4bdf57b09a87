"""Properties of the elements that a stability model is told, by atomic number."""

from __future__ import annotations

import csv
import functools
from importlib import resources

import numpy as np

from symmcd.crystallography.composition import HEAVIEST

PROPERTIES = (
    "electronegativity",  # Pauling's scale
    "covalent_radius",  # pm
    "volume",  # Å³/atom, of the element's own crystal
    "melting_temperature",  # K
    "mendeleev_number",
    "group",  # column of the periodic table, 3 for all of the f block
    "period",
    "s_electrons",
    "p_electrons",
    "d_electrons",
    "f_electrons",
    "unfilled",  # electrons that its open shells have room for
)


@functools.cache
def element_properties() -> np.ndarray:
    """(119, P) `PROPERTIES` by atomic number; nan where Magpie has no value (`tools/make_element_properties.py`)."""
    text = (resources.files("symmcd.stability_model") / "elements.csv").read_text(encoding="ascii")
    table = np.full((HEAVIEST + 1, len(PROPERTIES)), np.nan)
    for row in csv.DictReader(text.splitlines()):
        table[int(row["number"])] = [float(row[name] or "nan") for name in PROPERTIES]
    table.setflags(write=False)
    return table
