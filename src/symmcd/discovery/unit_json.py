"""Asymmetric units as JSON and back, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit


def as_json(unit: AsymmetricUnit | None) -> dict[str, Any] | None:
    """A unit as numbers and texts; None of None."""
    if unit is None:
        return None
    return {
        "space_group": int(unit.space_group),
        "lattice": unit.lattice.tolist(),
        "element": unit.element.tolist(),
        "letter": list(unit.letter),
        "position": unit.position.tolist(),
    }


def from_json(values: dict[str, Any] | None) -> AsymmetricUnit | None:
    """Rebuild the unit that `as_json` was made from."""
    if values is None:
        return None
    return AsymmetricUnit.exact(
        values["space_group"],
        np.array(values["lattice"], dtype=float),
        np.array(values["element"], dtype=int),
        tuple(values["letter"]),
        np.array(values["position"], dtype=float).reshape(-1, 3),
    )
