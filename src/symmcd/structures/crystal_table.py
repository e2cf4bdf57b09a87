"""Crystals as a table to read: crystals.csv."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.composition import SYMBOLS
from symmcd.crystallography.content import densities, formulas, primitive_atoms
from symmcd.crystallography.space_group import symbol
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.storage import atomic_path


def write_table(
    path: Path,
    units: AsymmetricUnits,
    log_probability: Sequence[float],
    further: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """One row per crystal: composition, element on each Wyckoff position, size and density.

    With `log_probability` (B,), of its space group, positions and elements, also its probability relative to the others
    in the table (``share``).  `further` columns by name, of (B,) texts each, come last; for crystals that a stability
    model chose also ``oversample``, the number of drafts of which each is the best.
    """
    further = dict(further or {})
    if units.best_of is not None:
        further["oversample"] = [str(units.best_of.drafts)] * len(units)
    table = wyckoff_table()
    share = np.exp(np.array(log_probability) - max(log_probability)) if log_probability else np.zeros(0)
    names, atoms, density = formulas(units), primitive_atoms(units).tolist(), densities(units).tolist()
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        more = ("log_probability", "share") if log_probability else ()
        writer.writerow(
            ("id", "formula", "space_group", "symbol", "atoms_primitive", "density", "orbits", *more, *further)
        )
        for index, (label, group) in enumerate(zip(units.label, units.space_group.tolist(), strict=True)):
            orbits = slice(units.start[index], units.start[index + 1])
            sites = [
                f"{SYMBOLS[element - 1]} {table.multiplicity[row]}{table.letter[row]}"
                for element, row in zip(units.element[orbits].tolist(), units.wyckoff[orbits].tolist(), strict=True)
            ]
            row = [label, names[index], group, symbol(group), atoms[index], f"{density[index]:.3f}", "; ".join(sites)]
            if more:
                row += [f"{log_probability[index]:.3f}", f"{share[index] / share.sum():.4f}"]
            writer.writerow([*row, *(column[index] for column in further.values())])
