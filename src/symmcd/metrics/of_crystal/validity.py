"""Validity of a crystal by the rules of CDVAE (`symmcd.metrics.validity`)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from symmcd.extensions import Metric, Quantity

if TYPE_CHECKING:
    from symmcd.metrics.crystal_scores import Crystal

METRIC = Metric(
    of="crystal",
    function="symmcd.metrics.of_crystal.validity:columns",
    quantities={
        "closest": Quantity(
            "closest atoms",
            "Least distance between two different atoms of the cell, any images, Å; blank with one atom.",
            unit="Å",
        ),
        "closest_with_images": Quantity(
            "closest atoms, with images", "The same, an atom and its own images counted too.", unit="Å"
        ),
        "structure": Quantity("structure", "valid, or which condition fails first: too_close, too_small, too_long."),
        "structurally_valid": Quantity(
            "structurally valid",
            "No two atoms closer than 0.5 Å, a volume of at least 0.1 Å³ and no cell length above 40 Å.",
        ),
        "structurally_valid_strict": Quantity(
            "structurally valid, strict", "The same, an atom and its own images counted too."
        ),
        "composition": Quantity("composition", "valid, invalid, too_many, timed_out or no_data, by SMACT."),
        "compositionally_valid": Quantity(
            "compositionally valid",
            "Common oxidation states of its elements can balance to zero charge (SMACT), or it is an alloy.",
        ),
        "valid": Quantity("valid both ways", "Structurally and compositionally valid."),
    },
)


def columns(crystal: Crystal) -> dict[str, Any]:
    """Distances, structure, composition, and both."""
    from symmcd.metrics.validity import composition_verdict, distances, structural_verdict, structurally_valid

    structure = crystal.structure
    near = distances(structure)
    composition = composition_verdict(structure.composition.reduced_formula, crystal.smact_seconds)
    structural = structurally_valid(structure, near.between_atoms)
    return {
        # blank where a cell has one atom: a table's numbers are finite
        "closest": round(near.between_atoms, 5) if math.isfinite(near.between_atoms) else None,
        "closest_with_images": round(near.with_self, 5),
        "structure": structural_verdict(structure, near.between_atoms),
        "structurally_valid": structural,
        "structurally_valid_strict": structurally_valid(structure, near.with_self),
        "composition": composition,
        "compositionally_valid": composition == "valid",
        "valid": structural and composition == "valid",
    }
