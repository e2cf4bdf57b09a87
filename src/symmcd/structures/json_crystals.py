"""Crystals in JSON as pymatgen writes them: lattice, species and fractional coordinates, and nothing else of it.

pymatgen's own reader imports whatever module a value names (``@module``); here no text becomes a module or a class.
"""

from __future__ import annotations

import json
import reprlib
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gemmi
import numpy as np

from symmcd.errors import InputError
from symmcd.structures.cell import Cell
from symmcd.structures.crystal import StructureError
from symmcd.structures.extxyz import element_number
from symmcd.structures.files import JSON, TooLargeError, open_text, shown

ORDERED = 1e-3  # occupancies so near 1 are 1, as in a CIF
EXPECTED = "expected pymatgen structures: one, a list of them, or a mapping of names to them"


class _Repeating(dict[str, Any]):
    """A JSON object with a name twice; `pairs` has all of them."""

    def __init__(self, pairs: Sequence[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


def _mapping(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    return content if len(content) == len(pairs) else _Repeating(pairs)


def entries(path: Path) -> list[tuple[str, Any]]:
    """Name and content of each entry of a file that may be a crystal; see `crystal_of_entry`.

    Taken are one structure, a list or a mapping of names to them, records that have one under ``structure``, and a data
    frame with a column ``structure``.

    Raises:
        InputError: damaged, too large, or nothing in it could be a crystal.
    """
    try:
        with open_text(path, JSON) as file:
            content = json.load(file, object_pairs_hook=_mapping)
    except TooLargeError:
        raise
    except RecursionError:
        raise InputError(f"{path}: not readable as JSON (nested too deep)") from None
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise InputError(f"{path}: not readable as JSON ({shown(error, 200)})") from None
    if isinstance(content, list):
        return [(f"{number:05d}", entry) for number, entry in enumerate(content)]
    if not isinstance(content, dict):
        raise InputError(f"{path}: {EXPECTED}, found {type(content).__name__}")
    if "lattice" in content or _is_structure(content.get("structure")):
        others = [value for key, value in content.items() if key != "structure"]
        if "lattice" in content or not any(_is_structure(value) for value in others):
            return [("00000", content)]
    column = content.get("structure")
    if isinstance(column, dict) and "lattice" not in column:  # a data frame: column, row, value
        content = column
    pairs = content.pairs if isinstance(content, _Repeating) else list(content.items())
    if pairs and not any(isinstance(entry, dict) for _, entry in pairs):
        keys = shown(", ".join(name for name, _ in pairs[:5]))
        raise InputError(f"{path}: {EXPECTED}; found a mapping with the keys {keys}, without a structure")
    return list(pairs)


def _brief(value: Any) -> str:
    return shown(reprlib.repr(value), 60)


def _is_structure(value: Any) -> bool:
    return isinstance(value, dict) and "lattice" in value


def crystal_of_entry(entry: Any) -> Cell:
    """Crystal of pymatgen's ``Structure.as_dict()``, or of a record with one under ``structure``.

    Raises:
        StructureError: another thing, damaged, disordered, or not periodic in three directions.
    """
    if isinstance(entry, dict) and "lattice" not in entry and isinstance(entry.get("structure"), dict):
        entry = entry["structure"]
    if not isinstance(entry, dict):
        raise StructureError("unparseable", f"not a structure but {_brief(entry)}")
    missing = [key for key in ("lattice", "sites") if key not in entry]
    if missing:
        raise StructureError("unparseable", f"not a structure: no {' and no '.join(missing)} in it")
    if isinstance(entry, _Repeating):
        raise StructureError("unparseable", "not a structure: it has a name twice")
    sites = entry["sites"]
    if not isinstance(sites, list):
        raise StructureError("unparseable", f"its sites are not a list but {_brief(sites)}")
    lattice = _lattice(entry["lattice"])
    elements, positions = [], []
    for i, site in enumerate(sites):
        if not isinstance(site, dict):
            raise StructureError("unparseable", f"site {i} is {_brief(site)}")
        elements.append(_element(site.get("species"), i))
        positions.append(_numbers(site.get("abc"), 3, "bad_position", f"site {i}: abc"))
    return Cell(lattice, np.array(elements, int), np.array(positions).reshape(-1, 3))


def _lattice(given: Any) -> np.ndarray:
    """(3, 3) rows a, b, c, Å."""
    if not isinstance(given, dict):
        raise StructureError("bad_cell", f"the lattice is {_brief(given)}")
    pbc = given.get("pbc", [True] * 3)
    if pbc != [True] * 3:
        raise StructureError("bad_cell", f"pbc is {_brief(pbc)}; a crystal is periodic in three directions")
    matrix = given.get("matrix")
    if matrix is None:
        lengths = _numbers([given.get(name) for name in "abc"], 3, "bad_cell", "a, b, c")
        angles = _numbers([given.get(name) for name in ("alpha", "beta", "gamma")], 3, "bad_cell", "alpha, beta, gamma")
        if not (min(lengths) > 0 and min(angles) > 0 and max(angles) < 180):
            raise StructureError("bad_cell", f"lengths {lengths} Å and angles {angles}° make no cell")
        return np.array(gemmi.UnitCell(*lengths, *angles).orth.mat.tolist()).T
    if not isinstance(matrix, list) or len(matrix) != 3:
        raise StructureError("bad_cell", f"the lattice's matrix is {_brief(matrix)}")
    return np.array([_numbers(row, 3, "bad_cell", "a row of the lattice's matrix") for row in matrix])


def _numbers(given: Any, length: int, reason: str, what: str) -> list[float]:
    if isinstance(given, list) and len(given) == length:
        try:
            if all(isinstance(v, int | float) and not isinstance(v, bool) for v in given):
                return [float(v) for v in given]
        except OverflowError:
            pass
    raise StructureError(reason, f"{what} is {_brief(given)}, expected {length} numbers")


def _element(species: Any, i: int) -> int:
    """Atomic number of the one species on a site."""
    if not isinstance(species, list) or not all(isinstance(one, Mapping) for one in species) or not species:
        raise StructureError("unparseable", f"site {i}: species is {_brief(species)}")
    occupancy = species[0].get("occu")
    if len(species) > 1 or not isinstance(occupancy, int | float) or not abs(occupancy - 1) < ORDERED:
        names = " and ".join(shown(f"{one.get('element')} ({one.get('occu')})", 30) for one in species[:5])
        raise StructureError("disordered", f"site {i} has {names}; order it first")
    symbol = species[0].get("element")
    number = element_number(symbol) if isinstance(symbol, str) else 0
    if not number:
        raise StructureError("unknown_element", f"site {i}: {_brief(symbol)} is not an element")
    return number
