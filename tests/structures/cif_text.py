"""A CIF from its parts, so that a test can change one of them."""

from __future__ import annotations

from collections.abc import Sequence

TAGS = ("a", "b", "c", "alpha", "beta", "gamma")


def cif(name: str, cell: Sequence[float], more: str, sites: str, *columns: str) -> str:
    """One block.

    Args:
        name: of the block.
        cell: a, b, c in Å, alpha, beta, gamma in degrees.
        more: lines between cell and atoms: symmetry, formula.
        sites: a line an atom: label, element, x, y, z and a value for each of `columns`.
        columns: further ones, by the end of their tags, as ``occupancy``.
    """
    lengths = [f"_cell_{'length' if i < 3 else 'angle'}_{tag} {cell[i]:g}" for i, tag in enumerate(TAGS)]
    tags = ("label", "type_symbol", "fract_x", "fract_y", "fract_z", *columns)
    return "\n".join([f"data_{name}", *lengths, more, "loop_", *(f"_atom_site_{tag}" for tag in tags), sites]) + "\n"
