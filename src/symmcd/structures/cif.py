"""CIF text → lattice, elements, positions; ordered crystals only.

gemmi reads the text.  Its symmetry is interpreted here, because gemmi drops operations that form none of the settings
it knows, and with them the atoms that they generate.
"""

from __future__ import annotations

import functools
import itertools
import re

import gemmi
import numpy as np

from symmcd.structures.cell import Cell
from symmcd.structures.cif_sites import Sites
from symmcd.structures.cif_witnesses import crystal_of
from symmcd.structures.crystal import HEAVIEST, MOST_ATOMS, StructureError, check_ordered

MOST_TEXT = 20_000_000
"""Characters of a CIF that are read; one with 10,000 atoms and all that a journal asks for has a tenth of that."""

_AMBIGUOUS = {"CN", "CO", "HO", "NH", "NO", "PO"}  # groups of light elements, or Cn, Co, Ho, Nh, No, Po in capitals
_CELL = tuple(f"_cell_length_{n}" for n in "abc") + tuple(f"_cell_angle_{n}" for n in ("alpha", "beta", "gamma"))

__all__ = ["HEAVIEST", "StructureError", "atomic_number", "check_ordered", "parse_cif", "split_crystals"]


def parse_cif(text: str) -> Cell:
    """All atoms of the unit cell of the crystal in a CIF.

    The file's symmetry operations are applied (those it lists, else those of its Hall or Hermann–Mauguin symbol, else
    none) and coincident images of an atom merged, on the special position they surround.  A file whose operations,
    symbols, number, multiplicities and formula contradict each other is refused, unless they decide against one of
    them (`cif_witnesses`).  Deuterium and tritium are hydrogen; charges are dropped.

    Raises:
        StructureError: with one of the reasons listed there.
    """
    blocks = _blocks(text)
    if len(blocks) > 1:
        raise StructureError("several_crystals", f"data blocks {', '.join(b.name for b in blocks)}; expected one")
    block = blocks[0]
    return crystal_of(block, _lattice(block), _sites(block))


def split_crystals(text: str) -> list[tuple[str, str]]:
    """Name and text of each data block that has atoms.

    Raises:
        StructureError: unparseable, or no_atoms.
    """
    return [(block.name, block.as_string()) for block in _blocks(text)]


@functools.cache
def atomic_number(symbol: str) -> int:
    """Atomic number of a type symbol such as ``Fe``, ``FE`` or ``Fe3+``; D and T are 1; 0 if it is no element."""
    matched = re.fullmatch(r"([A-Za-z]{1,2})(\d*\.?\d*[+-]?|[+-]\d*)", symbol)
    if not matched or matched[1] in _AMBIGUOUS:
        return 0
    name = matched[1].capitalize()
    return 1 if name in ("D", "T") else gemmi.Element(name).atomic_number


@functools.cache
def _labelled_number(label: str) -> int:
    """Atomic number by a site label such as ``Fe1`` or ``OW2``, for files without type symbols; 0 if in doubt."""
    letters = re.match(r"[A-Za-z]*", label)[0]  # type: ignore[index]  # matches the empty string at least
    if len(letters) <= 2 and letters == letters.capitalize():
        return atomic_number(letters)
    two = gemmi.Element(letters[:2].capitalize()).atomic_number
    return 0 if two or not letters.isupper() else atomic_number(letters[0])  # OW is O; CO may be a C or a cobalt


def _blocks(text: str) -> list[gemmi.cif.Block]:
    """Data blocks with atom sites; equal names are numbered, ``I`` and ``I#2``."""
    if len(text) > MOST_TEXT:
        raise StructureError("too_large", f"{len(text)} characters; a CIF of at most {MOST_TEXT} is read")
    try:
        document = gemmi.cif.read_string(text, check_level=0)  # which lets equal names of blocks pass, and of tags
        seen: dict[str, int] = {}
        for block in document:
            seen[block.name] = seen.get(block.name, 0) + 1
            if seen[block.name] > 1:
                block.name = f"{block.name}#{seen[block.name]}"
        document.check_for_duplicates()
    except (ValueError, RuntimeError, UnicodeError) as error:
        raise StructureError("unparseable", str(error).strip()) from None
    if not len(document):
        raise StructureError("unparseable", "empty" if not text.strip() else "no data block")
    blocks = [block for block in document if len(block.find_values("_atom_site_fract_x"))]
    if not blocks:
        raise StructureError("no_atoms", "no _atom_site_fract_x")
    return blocks


def _lattice(block: gemmi.cif.Block) -> np.ndarray:
    """Rows a (along x), b (in the xy plane), c."""
    values = [gemmi.cif.as_number(block.find_value(tag) or "?") for tag in _CELL]
    a, b, c, alpha, beta, gamma = values
    shown = f"a, b, c = {a:g}, {b:g}, {c:g} Å, alpha, beta, gamma = {alpha:g}, {beta:g}, {gamma:g}°"
    if not (np.isfinite(values).all() and min(values) > 0 and max(alpha, beta, gamma) < 180):
        raise StructureError("bad_cell", shown)
    lattice = np.array(gemmi.UnitCell(*values).orth.mat.tolist()).T
    if not np.isfinite(lattice).all() or not np.linalg.det(lattice) > 1e-3:
        raise StructureError("bad_cell", f"{shown} have no volume")
    return lattice


def _sites(block: gemmi.cif.Block) -> Sites:
    """The atoms that the file lists."""
    columns = [list(block.find_values(f"_atom_site_fract_{n}")) for n in "xyz"]
    if len({len(column) for column in columns}) > 1:
        raise StructureError("bad_position", "_atom_site_fract_x, _y and _z have different lengths")
    number = len(columns[0])
    if number > MOST_ATOMS:
        raise StructureError("too_large", f"{number} atoms listed; at most {MOST_ATOMS} are read")
    position = np.array([[gemmi.cif.as_number(v) for v in column] for column in columns]).T
    symbols = [gemmi.cif.as_string(v) for v in block.find_values("_atom_site_type_symbol")]
    labels = [gemmi.cif.as_string(v) for v in block.find_values("_atom_site_label")]
    element = [atomic_number(v) for v in symbols] or [_labelled_number(v) for v in labels]
    if len(element) != number:
        raise StructureError("unknown_element", "no _atom_site_type_symbol and no _atom_site_label")
    names = labels or [f"{symbol}{i}" for i, symbol in enumerate(symbols)]
    if 0 in element:
        i = element.index(0)
        raise StructureError("unknown_element", f"site {names[i]}: {(symbols or labels)[i]!r} is not an element")
    for i, value in enumerate(block.find_values("_atom_site_occupancy")):
        if value not in (".", "?") and not abs(gemmi.cif.as_number(value) - 1) < 1e-3:  # 1 where it is not given
            raise StructureError("disordered", f"site {names[i]} has occupancy {value}")
    finite = np.isfinite(position).all(axis=1)
    if not finite.all():
        raise StructureError("bad_position", f"site {names[int(finite.argmin())]} has no position")
    hydrogens = sum(_whole(v) for v in block.find_values("_atom_site_attached_hydrogens"))
    return Sites(np.array(element), position, names, _multiplicity(block, number), _rounding(columns), hydrogens)


def _multiplicity(block: gemmi.cif.Block, number: int) -> np.ndarray:
    """(number,) multiplicities as the file has them, 0 where it has none."""
    for tag in ("_atom_site_symmetry_multiplicity", "_atom_site_site_symmetry_multiplicity"):
        given = [_whole(v) for v in block.find_values(tag)]
        if len(given) == number:
            return np.array(given, int)
    return np.zeros(number, int)


def _whole(text: str) -> int:
    """A number from 0 to a million, 0 for anything else."""
    value = gemmi.cif.as_number(text)
    return int(value) if 0 <= value <= 1e6 and value == round(value) else 0


def _rounding(columns: list[list[str]]) -> float:
    """Half a unit of the last digit of the most exact coordinate: others may have lost their final zeros.

    One digit, as in 0.5, is exact: nobody rounds to it.
    """
    decimals = re.findall(r"\.(\d+)", " ".join(itertools.chain(*columns)))
    digits = max(map(len, decimals), default=0)
    return 0.5 * 10.0**-digits if digits > 1 else 0.0
