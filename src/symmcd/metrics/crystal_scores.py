"""All metrics of one crystal, as one row of a table."""

from __future__ import annotations

from typing import Any

from pymatgen.core import Structure

from symmcd.metrics.symmetry import detected_group, keeps_group
from symmcd.metrics.validity import composition_verdict, distances, structurally_valid

COLUMNS = (
    "id", "status", "formula", "atoms", "elements", "volume", "density", "space_group", "space_group_found",
    "space_group_found_tight", "group_kept", "closest", "closest_with_images", "structurally_valid",
    "structurally_valid_strict", "composition", "compositionally_valid", "valid",
)  # fmt: skip
TIGHT = 0.01  # Å, the second tolerance of the symmetry search


def score(structure: Structure, space_group: int | None, symprec: float, smact_seconds: float) -> dict[str, Any]:
    """All per-crystal metrics of one crystal.

    Args:
        structure: conventional cell in the standard setting where `space_group` is given.
        space_group: the one asked for; None where nothing was.
        symprec: Å, of `space_group_found`.
        smact_seconds: time limit of the composition test.

    Returns:
        One value for each of `COLUMNS` but ``id``; ``status`` is ``ok`` or names what could not be computed.
    """
    near = distances(structure)
    verdict = composition_verdict(structure.composition.reduced_formula, smact_seconds)
    found = detected_group(structure, symprec)
    structural = structurally_valid(structure, near.between_atoms)
    problems = ["no_space_group"] if found is None else []
    problems += [f"composition_{verdict}"] if verdict in ("timed_out", "too_many") else []
    return {
        "status": ";".join(problems) or "ok",
        "formula": structure.composition.reduced_formula,
        "atoms": len(structure),
        "elements": len(structure.composition),
        "volume": round(structure.volume, 4),
        "density": round(float(structure.density), 6),
        "space_group": space_group,
        "space_group_found": found,
        "space_group_found_tight": detected_group(structure, TIGHT),
        "group_kept": None if space_group is None else keeps_group(structure, space_group),
        "closest": round(near.between_atoms, 5),
        "closest_with_images": round(near.with_self, 5),
        "structurally_valid": structural,
        "structurally_valid_strict": structurally_valid(structure, near.with_self),
        "composition": verdict,
        "compositionally_valid": verdict == "valid",
        "valid": structural and verdict == "valid",
    }
