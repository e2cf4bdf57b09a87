"""Crystals as a shard leaves them, made by hand."""

from __future__ import annotations

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
from symmcd.discovery.unit_json import as_json
from symmcd.stability.outcome import Relaxation
from symmcd.structures.units import reduce
from tests.crystallography.prototypes import prototype


def crystal(name: str, unit: AsymmetricUnit | str, energies: dict[str, float | None], **changes: object) -> dict:
    """A relaxed crystal of a prototype or a unit, with energies (eV/atom) of judges."""
    unit = reduce(prototype(unit)) if isinstance(unit, str) else unit
    relaxation = Relaxation("converged", unit.formula, unit.primitive_atoms, rms_displacement=0.0, volume_change=0.0)
    values = as_json(unit)
    made = {
        "detail": "", "id": name, "draft": int(name), "log_probability": -5.0, "unit": values, "valid": "valid",
        "composition": "valid", "screens": {}, "relaxation": relaxation.row(), "relaxed": values, "found": values,
        "judges": {judge: ["ok" if e is not None else "failed:nan_energy", e] for judge, e in energies.items()},
    }  # fmt: skip
    return made | changes
