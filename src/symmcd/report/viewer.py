"""Crystals to turn and zoom: a page of its own beside the report, with 3Dmol.js in it, to be carried anywhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.orbit import replicate_flat
from symmcd.report.crystal_drawing import BOND_REACH, NON_METALS, element_colours
from symmcd.report.page import template, template_text
from symmcd.report.typesetting import formula_html, symbol_html
from symmcd.storage import atomic_path
from symmcd.structures.cell import Cell, cells_of

LIBRARY = "3Dmol-min.js"


def write_viewer(folder: Path, units: Sequence[AsymmetricUnit], labels: Sequence[str], lead: str) -> Path:
    """Write ``viewer.html`` into `folder`; its path.

    Args:
        folder: of the report.
        units: crystals to show, conventional cells.
        labels: their ids.
        lead: how they were chosen.
    """
    data = in_script([crystal(unit, label) for unit, label in zip(units, labels, strict=True)])
    page = template("viewer.html.j2").render(
        css=template_text("page.css"),
        script=template_text("crystal_view.js") + template_text("viewer.js"),
        library=library(),
        data=Markup(data),  # noqa: S704  (`in_script`; the id, the only text of the user's, is set as text by viewer.js)
        lead=lead,
    )
    with atomic_path(folder / "viewer.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
    return folder / "viewer.html"


def library() -> Markup:
    """The source of 3Dmol.js, to be put into a page: as published, and without ``</script``."""
    path = resources.files("symmcd.report") / "vendor/3dmol" / LIBRARY
    return Markup(path.read_text(encoding="utf-8"))  # noqa: S704


def in_script(value: Any) -> str:
    """JSON to put into a script element: without ``<``, ``>`` and ``&``, so that no text ends or opens an element."""
    text = json.dumps(value)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def crystal(unit: AsymmetricUnit, label: str) -> dict[str, Any]:
    """Data of a crystal for viewer.html: its id unchanged, formula and group as HTML, and `drawn_cell`."""
    return {
        "id": label,
        "formula": str(formula_html(unit.formula)),
        "group": str(Markup("{} ({})").format(symbol_html(unit.space_group), unit.space_group)),
        **drawn_cell(cells_of(replicate_flat(AsymmetricUnits.from_units([unit])))[0]),
    }


def drawn_cell(cell: Cell) -> dict[str, Any]:
    """Data for crystal_view.js: lattice (Å), atoms (fractional), and a colour and radius (Å) of each element."""
    from ase.data import chemical_symbols, covalent_radii

    numbers = list(dict.fromkeys(cell.element.tolist()))
    return {
        "lattice": np.round(cell.lattice, 5).tolist(),
        "atoms": [
            [chemical_symbols[z], *np.round(position, 5).tolist()]
            for z, position in zip(cell.element.tolist(), cell.position, strict=True)
        ],
        "elements": {
            chemical_symbols[z]: {
                "colour": colour,
                "radius": round(float(covalent_radii[z]), 3),
                "metal": z not in NON_METALS,
            }
            for z, colour in zip(numbers, element_colours(numbers).values(), strict=True)
        },
        "reach": BOND_REACH,
    }
