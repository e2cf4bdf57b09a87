"""CIF text → lattice, elements, positions; ordered crystals only.

gemmi reads the text; what it says about symmetry is worked out here, because gemmi drops operations that make none of
the settings it knows, and with them the atoms they stand for.
"""

from __future__ import annotations

import functools
import re

import gemmi
import numpy as np

from symmcd.crystallography.orbit import wrap
from symmcd.crystallography.space_group import parse_triplet
from symmcd.structures.crystal import HEAVIEST, SAME_SITE, RawCrystal, StructureError, check_ordered, distances

__all__ = ["HEAVIEST", "RawCrystal", "StructureError", "atomic_number", "check_ordered", "parse_cif", "split_crystals"]

_AMBIGUOUS = {"CN", "CO", "HO", "NH", "NO", "PO"}  # groups of light elements, or Cn, Co, Ho, Nh, No, Po in capitals

_OPERATIONS = (
    "_symmetry_equiv_pos_as_xyz", "_space_group_symop_operation_xyz",
    "_symmetry_equiv.pos_as_xyz", "_space_group_symop.operation_xyz",
)  # fmt: skip
_HALL = ("_space_group_name_Hall", "_symmetry_space_group_name_Hall")
_HERMANN_MAUGUIN = ("_symmetry_space_group_name_H-M", "_space_group_name_H-M_alt", "_space_group_name_H-M_ref")
_NUMBER = ("_symmetry_Int_Tables_number", "_space_group_IT_number")
_CELL = tuple(f"_cell_length_{n}" for n in "abc") + tuple(f"_cell_angle_{n}" for n in ("alpha", "beta", "gamma"))


def parse_cif(text: str) -> RawCrystal:
    """All atoms of the unit cell of the crystal in a CIF.

    The file's symmetry operations are applied (those it lists, else those of its Hall or Hermann–Mauguin symbol, else
    none) and coincident images of an atom merged, on the special position they surround.  Deuterium and tritium are
    hydrogen; charges are dropped.

    Raises:
        StructureError: with one of the reasons listed there.
    """
    blocks = _blocks(text)
    if len(blocks) > 1:
        raise StructureError("several_crystals", f"data blocks {', '.join(b.name for b in blocks)}; expected one")
    block = blocks[0]
    lattice = _lattice(block)
    element, position, names = _sites(block)
    operations = _operations(block)
    if len(operations) > 1:
        position, site = _expanded(position, operations, lattice, names)
        element, names = element[site], [names[i] for i in site]
    crystal = RawCrystal(lattice, element, position)
    check_ordered(crystal, names)
    return crystal


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
    """Data blocks with atom sites."""
    try:
        document = gemmi.cif.read_string(text)
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


def _sites(block: gemmi.cif.Block) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Atomic numbers (n,), fractional positions (n, 3) and labels of the atoms that the file lists."""
    columns = [list(block.find_values(f"_atom_site_fract_{n}")) for n in "xyz"]
    if len({len(column) for column in columns}) > 1:
        raise StructureError("bad_position", "_atom_site_fract_x, _y and _z are not of one length")
    number = len(columns[0])
    position = np.array([[gemmi.cif.as_number(v) for v in column] for column in columns]).T
    symbols = [gemmi.cif.as_string(v) for v in block.find_values("_atom_site_type_symbol")]
    labels = [gemmi.cif.as_string(v) for v in block.find_values("_atom_site_label")]
    element = [atomic_number(v) for v in symbols] or [_labelled_number(v) for v in labels]
    if len(element) != number:
        raise StructureError("unknown_element", "no _atom_site_type_symbol and no _atom_site_label")
    names = labels or [f"{symbol}{i}" for i, symbol in enumerate(symbols)]
    if 0 in element:
        i = element.index(0)
        raise StructureError("unknown_element", f"site {names[i]}: {(symbols or labels)[i]!r} names no element")
    for i, value in enumerate(block.find_values("_atom_site_occupancy")):
        if value != "." and not abs(gemmi.cif.as_number(value) - 1) < 1e-3:
            raise StructureError("disordered", f"site {names[i]} has occupancy {value}")
    finite = np.isfinite(position).all(axis=1)
    if not finite.all():
        raise StructureError("bad_position", f"site {names[int(finite.argmin())]} has no position")
    return np.array(element), position, names


def _operations(block: gemmi.cif.Block) -> np.ndarray:
    """(n, 3, 4) operations of the file, the identity first."""
    listed = next((column for tag in _OPERATIONS if len(column := block.find_values(tag))), ())
    if len(listed):
        return _parsed(tuple(gemmi.cif.as_string(v) for v in listed))
    if any("symop_magn" in name for name in block.get_mmcif_category_names()):
        raise StructureError("unknown_space_group", "a magnetic CIF; magnetic operations are not read")
    if hall := _text(block, _HALL):
        try:
            return _parsed(tuple(op.triplet() for op in gemmi.symops_from_hall(hall)))
        except (RuntimeError, ValueError):
            raise StructureError("unknown_space_group", f"Hall symbol {hall!r}") from None
    number, name = _text(block, _NUMBER), _text(block, _HERMANN_MAUGUIN)
    if not name and number in ("", "1"):
        return _parsed(("x,y,z",))  # no word about symmetry: every atom is listed
    alpha, gamma = (gemmi.cif.as_number(block.find_value(tag)) for tag in ("_cell_angle_alpha", "_cell_angle_gamma"))
    group = gemmi.find_spacegroup_by_name(name, alpha, gamma) if name else None
    if group is None:
        raise StructureError("unknown_space_group", f"symbol {name!r}, number {number!r}, and no operations listed")
    if group.ext in ("1", "2") and ":" not in name:
        raise StructureError("unknown_space_group", f"{name!r} has two origin choices, and no operations are listed")
    return _parsed(tuple(op.triplet() for op in group.operations()))


def _text(block: gemmi.cif.Block, tags: tuple[str, ...]) -> str:
    """First value given under one of `tags`; empty if there is none."""
    values = (gemmi.cif.as_string(value) for tag in tags if (value := block.find_value(tag)))
    return next((value for value in values if value), "")


@functools.lru_cache(maxsize=1024)
def _parsed(triplets: tuple[str, ...]) -> np.ndarray:
    """(n, 3, 4) operations of coordinate triplets, translations snapped to 24ths if nearly so."""
    try:
        found = np.array([parse_triplet(re.sub(r"\s", "", t).lower()) for t in triplets])
        rotation = found[:, :, :3]
        valid = np.abs(np.abs(np.linalg.det(rotation)) - 1) < 1e-6
    except (ValueError, IndexError, ZeroDivisionError, np.linalg.LinAlgError):
        raise StructureError("unparseable", f"symmetry operations {'; '.join(triplets)[:200]}") from None
    if not valid.all():
        raise StructureError("unparseable", f"symmetry operation {triplets[int(valid.argmin())]!r}")
    snapped = np.rint(found[:, :, 3] * 24) / 24
    found[:, :, 3] = np.where(np.abs(found[:, :, 3] - snapped) < 2e-3, snapped, found[:, :, 3]) % 1
    identity = np.eye(3, 4)
    others = ~(np.abs(found - identity) < 1e-9).all(axis=(1, 2))
    found = np.concatenate([identity[None], np.unique(found[others], axis=0)])
    found.setflags(write=False)
    return found


def _expanded(
    position: np.ndarray, operations: np.ndarray, lattice: np.ndarray, names: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """All images (N, 3) of the sites (n, 3), and the site (N,) that each comes from."""
    parts = []
    for i, site in enumerate(position):
        images = operations[:, :, :3] @ site + operations[:, :, 3]
        shift = images - site
        shift -= np.rint(shift)
        here = np.linalg.norm(shift @ lattice, axis=1) < SAME_SITE  # operations that keep the atom where it is
        centred = site + shift[here].mean(axis=0)
        images = wrap(operations[:, :, :3] @ centred + operations[:, :, 3])
        first = (distances(images, images, lattice) < SAME_SITE).argmax(axis=1)
        distinct = images[first == np.arange(len(images))]
        if len(distinct) * here.sum() != len(operations):
            raise StructureError(
                "bad_position", f"site {names[i]} has {len(distinct)} images under {len(operations)} operations, "
                f"{here.sum()} of which keep it; it is too near a special position, or operations are missing"
            )  # fmt: skip
        parts.append(distinct)
    return np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])
