"""Known crystals, offline: the 45,229 materials of MP-20 and a user's crystals."""

from __future__ import annotations

import csv
import functools
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from pymatgen.analysis.structure_matcher import StructureMatcher

from symmcd.crystallography import content
from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.stability.hull import HullEntry
from symmcd.stability_model.materials import SPLITS, Material, fingerprint, materials
from symmcd.stability_model.materials import hull_entries as mp20_entries
from symmcd.structures.units import replicate

SHIPPED = "MP-20: 45229 materials"  # name of the hull that comes with the package
SAME_ENERGY = 0.05  # eV/atom; CHGNet's formation energies are 0.02 off DFT's on average


def elements_of(formula: str) -> frozenset[str]:
    """Symbols in a formula."""
    return frozenset(re.findall("[A-Z][a-z]?", formula))


@functools.cache
def elemental_references() -> tuple[HullEntry, ...]:
    """DFT energy of each of 89 elements, that formation energies count from, eV/atom."""
    text = (resources.files("symmcd.discovery") / "elements.csv").read_text("ascii")
    return tuple(
        HullEntry(row["element"], float(row["energy_per_atom"]), "elemental_reference", "elements.csv", row["entry_id"])
        for row in csv.DictReader(text.splitlines())
    )


def shipped_entries() -> list[HullEntry]:
    """Entries of the hull that comes with the package, on the scale of the Materials Project's corrected energies."""
    known = [entry for entry in mp20_entries(SPLITS) if entry.kind == "formation_energy"]
    return [*elemental_references(), *known]


@dataclass(frozen=True, eq=False)
class KnownMaterials:
    """Names of materials by what is known of them."""

    arrangement: Mapping[str, Sequence[str]]  # `materials.fingerprint` → names
    energy: Mapping[str, float]  # formation energy of each that comes along, eV/atom
    own: Mapping[str, AsymmetricUnit]  # crystals of a user, by name
    form: Mapping[tuple[str, int], Sequence[str]]  # reduced formula and space group → names
    formula: Mapping[str, Sequence[str]]  # reduced formula → names
    small: tuple[Material, ...]  # materials of MP-20 that a crystal of the generator may match
    name: str  # for people

    @classmethod
    def of(cls, own: Iterable[tuple[str, AsymmetricUnits]] = ()) -> KnownMaterials:
        """Materials that come with the package, and asymmetric units of a user, each set with its name."""
        arrangement: dict[str, list[str]] = defaultdict(list)
        form: dict[tuple[str, int], list[str]] = defaultdict(list)
        formula: dict[str, list[str]] = defaultdict(list)
        energy: dict[str, float] = {}
        crystals: dict[str, AsymmetricUnit] = {}
        for material in materials():
            formula[material.formula].append(material.id)
            energy[material.id] = material.formation_energy_per_atom
            if material.space_group:
                form[material.formula, material.space_group].append(material.id)
            if material.arrangement:
                arrangement[material.arrangement].append(material.id)
        names = [f"{len(materials()):,} materials of MP-20"]
        for name, units in own:
            names.append(f"{len(units):,} crystals of {name}")
            texts = zip(units.label.tolist(), content.formulas(units), content.arrangements(units), strict=True)
            for index, ((label, of, text), group) in enumerate(zip(texts, units.space_group.tolist(), strict=True)):
                crystals[label] = units[index]
                for found in (arrangement[fingerprint(text)], form[of, group], formula[of]):
                    if label not in found:
                        found.append(label)
        return cls(arrangement, energy, crystals, form, formula, materials(), ", ".join(names))

    def same(self, unit: AsymmetricUnit, fingerprint_of: str, formation: Sequence[float]) -> list[str]:
        """Names of the materials that a relaxed crystal is.

        They have its space group, positions and elements.  Of crystals of a user pymatgen's StructureMatcher says
        whether the geometry is the same; of others the energy: within `SAME_ENERGY` by one of the judges.

        Args:
            unit: the crystal.
            fingerprint_of: its arrangement's.
            formation: its formation energies by the judges, eV/atom.
        """
        found = []
        for name in self.arrangement.get(fingerprint_of, ()):
            if name in self.own:
                alike = StructureMatcher().fit(replicate(unit), replicate(self.own[name]))
            else:
                alike = any(abs(energy - self.energy[name]) <= SAME_ENERGY for energy in formation)
            if alike:
                found.append(name)
        return found

    def in_system(self, elements: frozenset[str]) -> list[Material]:
        """Materials of MP-20 that have exactly these elements and an arrangement to be found again by."""
        return [m for m in self.small if m.arrangement and elements_of(m.formula) == elements]


def own_name(path: Path) -> str:
    """Name of a user's file in tables: its own, without folder and ending."""
    return path.stem
