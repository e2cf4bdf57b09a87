"""CIF text → lattice, elements, positions, by gemmi; ordered crystals only."""

from __future__ import annotations

from dataclasses import dataclass

import gemmi
import numpy as np

from symmcd.errors import InputError

SAME_SITE = 0.01
"""Å: images of a site this close under the file's own symmetry operations are one atom."""


class StructureError(InputError):
    """A crystal that cannot be used; `reason` is short and fixed, `detail` says what was found."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, eq=False)
class RawCrystal:
    """A crystal as its file gives it."""

    lattice: np.ndarray  # (3, 3) rows a, b, c, Å
    element: np.ndarray  # (N,) atomic numbers
    position: np.ndarray  # (N, 3) fractional


def parse_cif(text: str) -> RawCrystal:
    """All atoms of the unit cell of the first crystal in a CIF.

    Symmetry operations that the file lists are applied and coincident images merged.

    Raises:
        StructureError: unparseable, bad_cell, no_atoms, disordered, unknown_element or bad_position.
    """
    try:
        document = gemmi.cif.read_string(text)
        block = next((b for b in document if b.find_values("_atom_site_fract_x")), document[0])
        crystal = gemmi.make_small_structure_from_block(block)
    except (ValueError, RuntimeError, IndexError) as error:
        raise StructureError("unparseable", str(error).strip() or "empty file") from None
    cell = crystal.cell
    parameters = np.array([cell.a, cell.b, cell.c, cell.alpha, cell.beta, cell.gamma])
    if not np.isfinite(parameters).all() or not block.find_value("_cell_length_a"):
        raise StructureError("bad_cell", f"cell parameters {parameters.tolist()}")
    lattice = np.array(cell.orth.mat.tolist()).T
    if not np.isfinite(lattice).all() or not np.linalg.det(lattice) > 1e-3:
        raise StructureError("bad_cell", f"cell parameters {parameters.tolist()} have no volume")
    if not len(crystal.sites):
        raise StructureError("no_atoms", "no atom sites")
    for site in crystal.sites:
        if not abs(site.occ - 1) < 1e-3:
            raise StructureError("disordered", f"site {site.label} has occupancy {site.occ:g}")
        if site.element.atomic_number == 0:
            raise StructureError("unknown_element", f"site {site.label}: {site.type_symbol!r}")
    sites = crystal.get_all_unit_cell_sites() if _has_symmetry(block) else crystal.sites
    position = np.array([site.fract.tolist() for site in sites])
    if not np.isfinite(position).all():
        raise StructureError("bad_position", f"site {sites[int(np.argwhere(~np.isfinite(position))[0, 0])].label} has no position")
    element = np.array([1 if site.element.name == "D" else site.element.atomic_number for site in sites])
    return RawCrystal(lattice, element, position)


def _has_symmetry(block: gemmi.cif.Block) -> bool:
    """Whether the block lists more than the identity."""
    names = ("_symmetry_equiv_pos_as_xyz", "_space_group_symop_operation_xyz")
    return any(len(block.find_values(name)) > 1 for name in names)
