"""All metrics of one crystal, as one row of a table."""

from __future__ import annotations

from typing import Any

import numpy as np
from pymatgen.core import Structure

from symmcd.metrics.symmetry import agreement, detect, keeps_group
from symmcd.metrics.validity import composition_verdict, distances, structural_verdict, structurally_valid
from symmcd.structures.checks import FLAT, is_sound

__all__ = ["COLUMNS", "FLAGS", "FLAT", "TIGHT", "score", "unscored"]

COLUMNS = (
    "id", "status", "formula", "atoms", "elements", "volume", "density", "space_group", "space_group_found",
    "space_group_found_tight", "agreement", "agreement_tight", "group_kept", "closest", "closest_with_images",
    "structure", "structurally_valid", "structurally_valid_strict", "composition", "compositionally_valid", "valid",
    "detail",
)  # fmt: skip
TIGHT = 0.01  # Å, the second tolerance of the symmetry search
FLAGS = ("structurally_valid", "structurally_valid_strict", "compositionally_valid", "valid")


def score(structure: Structure, space_group: int | None, symprec: float, smact_seconds: float) -> dict[str, Any]:
    """All per-crystal metrics of one crystal.

    Args:
        structure: conventional cell in the standard setting where `space_group` is given.
        space_group: the one asked for; None where nothing was.
        symprec: Å, of `space_group_found`.
        smact_seconds: time limit of the composition test.

    Returns:
        One value for each of `COLUMNS` but ``id``; ``status`` is ``ok`` or names what could not be computed:
        ``no_space_group``, ``composition_timed_out``, ``composition_too_many``, ``composition_no_data``,
        ``bad_cell``, ``out_of_memory``, ``failed:<error>``.
    """
    if not is_sound(structure.lattice.matrix, structure.frac_coords):
        volume = abs(np.linalg.det(structure.lattice.matrix))
        return unscored("bad_cell", space_group, structure.composition.reduced_formula, f"volume {volume:.3g} Å³")
    try:
        return _score(structure, space_group, symprec, smact_seconds)
    except Exception as error:  # noqa: BLE001  (one broken crystal must not end a run of thousands; the table has the message)
        status = "out_of_memory" if isinstance(error, MemoryError) else f"failed:{type(error).__name__}"
        return unscored(status, space_group, structure.composition.reduced_formula, str(error).replace("\n", " "))


def unscored(
    status: str, space_group: int | None = None, formula: str | None = None, detail: str | None = None
) -> dict[str, Any]:
    """The row of a crystal that could not be scored: invalid in every respect, and counted as such."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS[1:]) | dict.fromkeys(FLAGS, False)
    kept = None if space_group is None else False
    return row | {
        "status": status, "formula": formula, "space_group": space_group, "group_kept": kept, "detail": detail,
    }  # fmt: skip


def _score(structure: Structure, space_group: int | None, symprec: float, smact_seconds: float) -> dict[str, Any]:
    near = distances(structure)
    verdict = composition_verdict(structure.composition.reduced_formula, smact_seconds)
    found, tight = detect(structure, symprec), detect(structure, TIGHT)
    structural = structurally_valid(structure, near.between_atoms)
    problems = ["no_space_group"] if found is None else []
    problems += [f"composition_{verdict}"] if verdict in ("timed_out", "too_many", "no_data") else []
    return {
        "status": ";".join(problems) or "ok",
        "formula": structure.composition.reduced_formula,
        "atoms": len(structure),
        "elements": len(structure.composition),
        "volume": round(structure.volume, 4),
        "density": round(float(structure.density), 6),
        "space_group": space_group,
        "space_group_found": None if found is None else found.number,
        "space_group_found_tight": None if tight is None else tight.number,
        "agreement": None if space_group is None else agreement(found, space_group),
        "agreement_tight": None if space_group is None else agreement(tight, space_group),
        "group_kept": None if space_group is None else keeps_group(structure, space_group),
        "closest": round(near.between_atoms, 5),
        "closest_with_images": round(near.with_self, 5),
        "structure": structural_verdict(structure, near.between_atoms),
        "structurally_valid": structural,
        "structurally_valid_strict": structurally_valid(structure, near.with_self),
        "composition": verdict,
        "compositionally_valid": verdict == "valid",
        "valid": structural and verdict == "valid",
        "detail": None,
    }
