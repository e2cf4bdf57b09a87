"""Crystals as an OPTIMADE API answers a request for structures (specification 1.2, https://specs.optimade.org).

Names without an underscore are the standard's; those with ``_symmcd_`` in front are ours, which it allows.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from string import ascii_lowercase, ascii_uppercase
from typing import Any

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
from symmcd.crystallography.composition import SYMBOLS
from symmcd.structures.cell import Cell

API = "1.2.0"  # version of the specification
PREFIX = "_symmcd_"
PROVIDER = {
    "name": "symmcd",
    "description": "Crystals that symmcd generated; a file, and not a database that can be asked",
    "prefix": PREFIX.strip("_"),
}


def response(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Answer of an API to ``/structures``: all entries on one page."""
    return {
        "data": list(entries),
        "links": {"next": None},
        "meta": {
            "query": {"representation": "/structures"},
            "api_version": API,
            "more_data_available": False,
            "data_returned": len(entries),
            "data_available": len(entries),
            "provider": PROVIDER,
        },
    }


def entry(
    name: str, unit: AsymmetricUnit, cell: Cell, modified: datetime, properties: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """One crystal.

    Args:
        name: its id, unique in the file.
        unit: its asymmetric unit.
        cell: all atoms of its conventional cell.
        modified: when it was last changed, in UTC.
        properties: further ones of ours, without the prefix; None and nan become null.
    """
    symbols = [SYMBOLS[number - 1] for number in cell.element.tolist()]
    count = Counter(symbols)
    elements = sorted(count)
    smallest = math.gcd(*count.values())
    reduced = {element: count[element] // smallest for element in elements}
    orbits = [
        {"element": SYMBOLS[e - 1], "wyckoff_letter": letter, "multiplicity": m, "fractional_position": xyz}
        for e, letter, m, xyz in zip(
            unit.element.tolist(), unit.letter, unit.multiplicity.tolist(), unit.position.tolist(), strict=True
        )
    ]
    attributes = {
        "last_modified": f"{modified:%Y-%m-%dT%H:%M:%SZ}",
        "elements": elements,
        "nelements": len(elements),
        "elements_ratios": [count[element] / len(symbols) for element in elements],
        "chemical_formula_descriptive": unit.formula,
        "chemical_formula_reduced": _formula(reduced),
        "chemical_formula_anonymous": _anonymous(sorted(reduced.values(), reverse=True)),
        "dimension_types": [1, 1, 1],
        "nperiodic_dimensions": 3,
        "lattice_vectors": cell.lattice.tolist(),
        "cartesian_site_positions": (cell.position @ cell.lattice).tolist(),
        "nsites": len(symbols),
        "species": [{"name": e, "chemical_symbols": [e], "concentration": [1.0]} for e in elements],
        "species_at_sites": symbols,
        "space_group_it_number": unit.space_group,
        "structure_features": [],
        **{_own(key): _value(value) for key, value in {"orbits": orbits, **(properties or {})}.items()},
    }
    return {"id": name, "type": "structures", "attributes": attributes}


def _formula(amounts: Mapping[str, int]) -> str:
    return "".join(f"{name}{amount if amount > 1 else ''}" for name, amount in amounts.items())


def _anonymous(amounts: Sequence[int]) -> str:
    """Anonymous formula such as ``A2B``; after ``Z`` come ``Aa``, ``Ba`` …"""
    names = [f"{ascii_uppercase[i % 26]}{ascii_lowercase[i // 26 - 1] if i > 25 else ''}" for i in range(len(amounts))]
    return _formula(dict(zip(names, amounts, strict=True)))


def _own(key: str) -> str:
    """Name of a property of ours; the standard allows small letters, digits and underscores."""
    return PREFIX + re.sub(r"[^a-z0-9_]", "_", key.lower())


def _value(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
