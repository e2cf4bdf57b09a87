"""Symmetry that spglib finds in a crystal, beside the group that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from symmcd.extensions import Metric, Quantity

if TYPE_CHECKING:
    from symmcd.metrics.crystal_scores import Crystal

TIGHT = 0.01  # Å, the second tolerance of the symmetry search

METRIC = Metric(
    of="crystal",
    function="symmcd.metrics.of_crystal.symmetry:columns",
    quantities={
        "space_group": Quantity("space group", "The one that was asked for; blank if none was."),
        "space_group_found": Quantity(
            "space group found", "The one that spglib finds, at the tolerance of the settings."
        ),
        "space_group_found_tight": Quantity("space group found at 0.01 Å", "The one that spglib finds within 0.01 Å."),
        "agreement": Quantity(
            "agreement", "exact, supergroup, lower, other or none: the group found beside the one asked for."
        ),
        "agreement_tight": Quantity("agreement at 0.01 Å", "The same of the group found within 0.01 Å."),
        "group_kept": Quantity(
            "symmetry exact", "Every operation of the space group that was asked for holds to 0.001 Å."
        ),
    },
)


def columns(crystal: Crystal) -> dict[str, Any]:
    """Groups found at two tolerances, and how they compare."""
    from symmcd.metrics.found_symmetry import agreement, detect, keeps_group

    structure, asked = crystal.structure, crystal.space_group
    found, tight = detect(structure, crystal.symprec), detect(structure, TIGHT)
    return {
        "space_group": asked,
        "space_group_found": None if found is None else found.number,
        "space_group_found_tight": None if tight is None else tight.number,
        "agreement": None if asked is None else agreement(found, asked),
        "agreement_tight": None if asked is None else agreement(tight, asked),
        "group_kept": None if asked is None else keeps_group(structure, asked),
    }
