"""A shard of crystals from drafts to energies: geometries, validity, relaxation, judges.  All of it, or nothing."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pymatgen.core import Structure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
from symmcd.crystallography.drafts import Drafts
from symmcd.crystallography.symmetric_cell import SymmetricCell
from symmcd.device import choose_device, hold_gpu
from symmcd.discovery.unit_json import as_json, from_json
from symmcd.extensions import POTENTIALS
from symmcd.metrics.validity import composition_verdict, distances, structural_verdict
from symmcd.potentials.potential import Potential
from symmcd.screens.columns import screened
from symmcd.screens.crystal import ScreenedCrystal
from symmcd.stability.batch_relaxation import relax_many
from symmcd.stability.corrections import MISSING, correction
from symmcd.stability.energies import second_opinions
from symmcd.stability.outcome import SYMPREC, Limits, Relaxation
from symmcd.structures.cell import Cell
from symmcd.structures.convert import to_structure
from symmcd.structures.symmetry_search import SymmetryError
from symmcd.structures.units import reduce, replicate

SIZE = 32  # crystals; what a kill costs at most
SMACT_SECONDS = 10.0  # a composition
SCREEN_SECONDS = 600.0  # a crystal; they take 0.1, but a busy machine is to make no gaps in the table


@dataclass(frozen=True, eq=False)
class Machine:
    """Maker and judge of crystals; networks are loaded when they are first needed.

    Attributes:
        make: geometries of drafts.
        judges: names of potentials, the first of which relaxes.
        limits: of each relaxation.
        device: auto, cuda or cpu.
        screens: names of `extensions.SCREENS`.
    """

    make: Callable[[Drafts], list[AsymmetricUnit]]
    judges: Sequence[str]
    limits: Limits
    device: str
    screens: Sequence[str] = ()

    @functools.cached_property
    def potentials(self) -> dict[str, Potential]:
        """The judges themselves."""
        hold_gpu(self.device)
        where = choose_device(self.device).type
        return {name: POTENTIALS[name].load(where) for name in self.judges}

    def shard(self, drafts: Drafts, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Results for some drafts, a mapping each that JSON can hold.

        Keys: ``id``, ``draft`` (its number), ``log_probability``, ``unit`` (as generated), ``valid``, ``composition``,
        ``relaxation`` (`Relaxation.row`, None if it was not tried), ``relaxed`` (in the space group it was made in),
        ``found`` (idealised to the symmetry found within 0.1 Å), ``detail``, ``judges``: name → status and
        energy, eV/atom, with its correction; ``screens``: name → value.
        """
        units = self.make(drafts)
        rows: list[dict[str, Any]] = []
        for index, unit in enumerate(units):
            structure = replicate(unit)
            rows.append(
                {
                    "id": ids[index],
                    "draft": int(drafts.number[index]),
                    "log_probability": round(float(drafts.log_probability[index]), 4),
                    "unit": as_json(unit),
                    "valid": structural_verdict(structure, distances(structure).with_self),
                    "composition": composition_verdict(unit.formula, SMACT_SECONDS),
                    "relaxation": None, "relaxed": None, "found": None, "detail": "", "judges": {}, "screens": {},
                }
            )  # fmt: skip
        sound = [index for index, row in enumerate(rows) if row["valid"] == "valid"]
        relaxer = self.potentials[self.judges[0]]
        for place, result in relax_many([units[i] for i in sound], relaxer, "symmetry", limits=self.limits):
            row = rows[sound[place]]
            row |= {"relaxation": result.row(), "relaxed": as_json(result.unit), "detail": result.detail}
            if result.structure is not None:
                row |= _idealised(result.structure, row["detail"])
            row["judges"][self.judges[0]] = self._first(result)
        self._further(rows)
        self._screen(rows)
        return rows

    def _screen(self, rows: Sequence[dict[str, Any]]) -> None:
        """Fill in the screens of the relaxed crystals, in their primitive cells."""
        there = [row for row in rows if row["relaxed"] is not None]
        if not there or not self.screens:
            return
        crystals = [ScreenedCrystal(_cell(row["relaxed"]), _cell(row["unit"])) for row in there]
        for row, values in zip(there, screened(crystals, self.screens, seconds=SCREEN_SECONDS), strict=True):
            row["screens"] = {n: round(v, 4) if isinstance(v, float) else v for n, v in values.items()}

    def _first(self, result: Relaxation) -> list[Any]:
        """Status and energy by the potential that relaxed."""
        if result.energy_relaxed is None or result.structure is None:
            return [result.status, None]
        return self._corrected(self.judges[0], result.energy_relaxed, result.structure)

    def _further(self, rows: Sequence[dict[str, Any]]) -> None:
        """Fill in the other judges' energies of the relaxed crystals as they are."""
        there = [row for row in rows if row["relaxed"] is not None]
        units = [unit for row in there if (unit := from_json(row["relaxed"])) is not None]
        shortest = [row["relaxation"]["min_distance_relaxed"] for row in there]
        for name in self.judges[1:]:
            found = second_opinions(units, shortest, self.potentials[name]) if units else []
            for row, unit, energy in zip(there, units, found, strict=True):
                if energy.value is None:
                    row["judges"][name] = [energy.status, None]
                else:
                    row["judges"][name] = self._corrected(name, energy.value, replicate(unit))

    @staticmethod
    def _corrected(name: str, energy: float, structure: Structure) -> list[Any]:
        """Status, and energy on the scale of the Materials Project where it can be brought there."""
        if not POTENTIALS[name].correctable:
            return ["ok", energy]
        shift = correction(structure)
        return [MISSING, None] if shift is None else ["ok", energy + shift]


def _cell(values: dict[str, Any]) -> Structure:
    """Primitive cell of a unit as JSON."""
    unit = from_json(values)
    assert unit is not None
    cell = SymmetricCell(unit)
    lattice, position = cell.geometry(cell.start)
    return to_structure(Cell(lattice, cell.element, position))


def _idealised(structure: Structure, detail: str) -> dict[str, Any]:
    """The crystal in the symmetry that it has, or why it could not be found."""
    try:
        return {"found": as_json(reduce(structure, SYMPREC))}
    except SymmetryError as error:
        return {"detail": f"{detail}; not reduced to its symmetry: {error}".lstrip("; ")}
