"""Known crystals of the same formula and space group, by lists of the COD and the Materials Project in dara-xrd.

The wheel dara-xrd (MIT licence) has two JSON files: 62,099 crystals of the Crystallography Open Database (CC0), most of
them measured, and 132,285 computed ones of the Materials Project (CC BY 4.0).  Only these two files are read, and the
package is not imported, which would load all that a Rietveld refinement needs.  They have formulas and space groups
but no positions: a hit is no proof that a crystal is the same, and no hit is no proof that it is new.
"""

from __future__ import annotations

import functools
import gzip
import json
import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from pymatgen.core import Composition

from symmcd.crystallography.point_group import ENANTIOMORPHIC
from symmcd.errors import InputError
from symmcd.extensions import Screen
from symmcd.screens.crystal import ScreenedCrystal
from symmcd.structures.convert import from_structure
from symmcd.structures.symmetry_search import space_group_number

PACKAGE = "dara-xrd"
COD, MP = "dara/data/cod_filtered_info_2024.json.gz", "dara/data/mp_struct_info.json.gz"
SYMPREC = 0.1  # Å, as that of `space_group_relaxed`
NAMES = 3  # entries of the COD in a value
PAIRS = dict(zip(ENANTIOMORPHIC[::2], ENANTIOMORPHIC[1::2], strict=True))
TWIN = {**PAIRS, **{second: first for first, second in PAIRS.items()}}  # group → its mirror image


def known_elsewhere(crystal: ScreenedCrystal) -> str:
    """Entries such as ``cod-9000331 mp+0.012``; empty: neither list has this formula with this space group."""
    group = space_group_number(from_structure(crystal.structure), SYMPREC)
    if group is None:
        return ""
    composition = crystal.structure.composition
    same = {group, TWIN.get(group, group)}
    formula = composition.reduced_formula
    system = "-".join(sorted(element.symbol for element in composition.elements))
    cod = [row for row in _found(COD, system) if row[2] in same and Composition(row[0]).reduced_formula == formula]
    mp = [energy for energy, (_, number) in _found(MP, formula) if number in same]
    words = [f"cod-{row[1]}" for row in cod[:NAMES]] + ["…"] * (len(cod) > NAMES)
    return " ".join([*words, *([f"mp+{min(mp):g}"] if mp else [])])


def check() -> None:
    """Read both lists.

    Raises:
        InputError: the package is not installed, or a version that has them no longer.
    """
    for file in (COD, MP):
        _text(file)


def _found(file: str, key: str) -> list[Any]:
    """Entries under a key of one of the files; none where it is not there."""
    text = _text(file)
    found = re.search(re.escape(json.dumps(key)) + r"\s*:\s*", text)
    return json.JSONDecoder().raw_decode(text, found.end())[0] if found else []


@functools.cache
def _text(file: str) -> str:
    """Content of a file; as objects both would take 100 MB in each process, and few of their keys are asked for."""
    path = _path(file)
    try:
        return gzip.decompress(path.read_bytes()).decode()
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"{path}: cannot read it ({error}); install {PACKAGE} 1.3, or uninstall it") from None


def _path(file: str) -> Path:
    """Place of a file of the installed wheel.

    Raises:
        InputError: it is not installed.
    """
    try:
        return Path(str(distribution(PACKAGE).locate_file(file)))
    except PackageNotFoundError:
        raise InputError(f"the Python package {PACKAGE!r} is not installed; install it") from None


KNOWN_ELSEWHERE = Screen(
    "known elsewhere",
    "Entries of the Crystallography Open Database and of the Materials Project with this formula and this space group "
    "(or its mirror image), by the lists in dara-xrd; empty: none.  Positions are not compared.",
    "symmcd.screens.elsewhere:known_elsewhere",
    text=True,
    package=PACKAGE,
    check="symmcd.screens.elsewhere:check",
)
