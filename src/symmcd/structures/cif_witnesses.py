"""Statements of a CIF about its symmetry, weighed: operations, symbols, number, multiplicities and chemical formula.

A file that contradicts itself is refused.  Each list of operations in the file, written out or as a symbol, gives one
crystal of the listed atoms; the formula, the multiplicities and the group's number confirm or contradict it.  The
crystal is accepted if exactly one is not contradicted; otherwise the file is refused with the statements that conflict.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from dataclasses import dataclass
from math import gcd

import gemmi
import numpy as np

from symmcd.structures.cell import Cell
from symmcd.structures.cif_sites import Sites, expanded
from symmcd.structures.cif_symmetry import Statement, Symmetry, texts
from symmcd.structures.crystal import SAME_SITE, StructureError, distances
from symmcd.structures.symmetry_operations import Operations, completed, fits_cell
from symmcd.structures.symmetry_search import SymmetryError, find_symmetry

FOUND_AT = (0.01, 0.1)
"""Å: at one of these tolerances a crystal that is listed without its symmetry has the group that the file names."""


@dataclass(frozen=True)
class Formula:
    """The chemical formula of a file."""

    text: str
    counts: dict[int, float]  # by atomic number
    units: int  # Z, formula units in the cell; 0 where it is not given

    def verdict(self, found: dict[int, int]) -> str:
        """``contradicted``, ``exact`` or ``proportional``: how the formula goes with the atoms of a cell.

        The sum is that of a formula unit, or of the whole cell as pymatgen writes it: then Z divides it.  Only with Z,
        or where it cannot be a formula unit, does it say how many atoms there are.
        """
        if set(found) != set(self.counts):
            return "contradicted"
        atoms, total = sum(found.values()), sum(self.counts.values())
        if any(abs(found[z] / atoms - n / total) > 5e-3 for z, n in self.counts.items()):
            return "contradicted"
        whole = [round(n) for n in self.counts.values()]
        divisor = gcd(*whole) if all(abs(n - m) < 1e-6 for n, m in zip(self.counts.values(), whole, strict=True)) else 1
        totals = [total * self.units] if self.units else []
        if (self.units and divisor % self.units == 0) or (not self.units and divisor > 1):
            totals.append(total)
        if any(abs(atoms - n) <= 0.01 * atoms for n in totals):
            return "exact"
        short = atoms < 0.99 * total  # less than one formula unit
        return "contradicted" if self.units or short else "proportional"


@dataclass(frozen=True, eq=False)
class Reading:
    """Operations that the file gives, and the crystal that they make of the listed atoms."""

    source: str
    operations: Operations
    crystal: Cell | StructureError
    against: tuple[str, ...]  # groups named that it is not of
    formula: str  # absent, exact, proportional or contradicted
    multiplicity: str  # absent, agrees or contradicted

    @property
    def possible(self) -> bool:
        """Return whether there is a crystal, and its number of atoms contradicts nothing."""
        return isinstance(self.crystal, Cell) and "contradicted" not in (self.formula, self.multiplicity)

    @property
    def confirmed(self) -> bool:
        """Return whether the file states the number of atoms in another way."""
        return self.formula == "exact" or self.multiplicity == "agrees"

    def __str__(self) -> str:
        if isinstance(self.crystal, StructureError):
            return f"{self.source}: {self.crystal.detail}"
        return (
            f"{self.source} {'give' if self.source.endswith('listed') else 'gives'} {_written(_counts(self.crystal))}"
        )


def crystal_of(block: gemmi.cif.Block, lattice: np.ndarray, sites: Sites) -> Cell:
    """The crystal that a block of a CIF means.

    Args:
        block: for its symmetry and formula.
        lattice: (3, 3) rows, Å.
        sites: atoms that it lists.

    Raises:
        StructureError: contradiction, not_a_group, unknown_space_group, unparseable, or as `expanded`.
    """
    symmetry, formula = Symmetry.of(block), _formula(block)
    statements = symmetry.statements()
    readings: list[Reading] = []
    broken = ""  # what is wrong with the operations listed
    for source, operations in symmetry.sources():
        whole: Operations | None = operations
        if operations.missing:
            broken = f"the {len(operations)} operations listed lack {operations.missing}, which two of them make"
            whole = completed(operations)
        if whole is None:
            continue
        reading = _reading(source, whole, lattice, sites, statements, formula)
        if operations.missing:
            if not (reading.confirmed or any(s.names(whole) for s in statements)):
                continue
            broken = ""  # generators, which the file's other words complete
        if not readings and not broken and reading.possible and not reading.against:
            return _positioned(reading, sites, formula)
        readings.append(reading)
    best = _resolved(readings, trusted=not broken)
    if best is None:
        raise _refusal(readings, broken, statements, formula, sites)
    return _positioned(best, sites, formula)


def _reading(
    source: str,
    operations: Operations,
    lattice: np.ndarray,
    sites: Sites,
    statements: list[Statement],
    formula: Formula | None,
) -> Reading:
    crystal: Cell | StructureError
    multiplicity, verdict = "absent", "absent"
    try:
        if not fits_cell(operations, lattice):
            raise StructureError("contradiction", f"they belong to group {operations.number}, which has another cell")
        crystal, images = expanded(sites, operations, lattice)
    except StructureError as error:
        crystal = error
    else:
        multiplicity = _multiplicities(sites, images, len(operations))
        verdict = "absent" if formula is None else formula.verdict(_counts(crystal))
    against = tuple(s.text for s in statements if operations.number not in (0, s.number))
    if against and len(against) < len(statements) and source.endswith("listed") and len(operations) > 1:
        against = ()  # one word against the operations and another word
    if against and isinstance(crystal, Cell):
        groups = _groups_found(crystal)
        against = tuple(s.text for s in statements if s.text in against and s.number not in groups)
    return Reading(source, operations, crystal, against, verdict, multiplicity)


def _groups_found(crystal: Cell) -> set[int]:
    """Space groups of a crystal, whatever its file lists, such as all atoms of a primitive cell beside the symbol."""
    groups = set()
    for tolerance in FOUND_AT:
        with contextlib.suppress(SymmetryError):  # then it has none that could agree
            groups.add(int(find_symmetry(crystal, tolerance).number))
    return groups


def _multiplicities(sites: Sites, images: np.ndarray, order: int) -> str:
    """Verdict on the column: images in the cell, or as old SHELX files have it, the order of the site symmetry."""
    given = sites.multiplicity > 0
    if not given.any():
        return "absent"
    if order == 1 and _whole_orbits(sites):
        return "absent"  # every atom is listed, with the size of its orbit in the group that was left out
    agrees = (sites.multiplicity == images)[given].all() or (sites.multiplicity * images == order)[given].all()
    if not agrees:
        return "contradicted"
    return "agrees" if order > 1 else "absent"  # all are 1 where there are no operations: that says nothing


def _whole_orbits(sites: Sites) -> bool:
    """Return whether as many atoms of each element and multiplicity are listed as whole orbits have."""
    groups = Counter(zip(sites.element.tolist(), sites.multiplicity.tolist(), strict=True))
    return all(size > 0 and number % size == 0 for (_, size), number in groups.items())


def _resolved(readings: list[Reading], *, trusted: bool) -> Reading | None:
    """The reading that the file's other words decide for; None if they do not decide.

    Args:
        readings: one for each list of operations.
        trusted: whether the operations that the file lists are a group, and so among them.
    """
    possible = [reading for reading in readings if reading.possible]
    confirmed = [reading for reading in possible if reading.confirmed]
    if confirmed:
        return confirmed[0] if _one_crystal(confirmed) else None
    if not (possible and trusted and len(readings) > 1 and _one_crystal(possible)):
        return None
    agreed = len(possible) == len(readings)
    proportional = all(reading.formula == "proportional" for reading in possible)
    return possible[0] if agreed or proportional else None


def _one_crystal(readings: list[Reading]) -> bool:
    """Return whether all readings have the same atoms."""
    first, *others = [reading.crystal for reading in readings if isinstance(reading.crystal, Cell)]
    for other in others:
        if sorted(first.element.tolist()) != sorted(other.element.tolist()):
            return False
        apart = distances(first.position, other.position, first.lattice)
        apart[first.element[:, None] != other.element] = np.inf
        if not (apart.min(axis=1) < SAME_SITE).all():
            return False
    return True


def _positioned(reading: Reading, sites: Sites, formula: Formula | None) -> Cell:
    """The crystal of a reading, if no hydrogen of it lacks a position."""
    assert isinstance(reading.crystal, Cell)
    if sites.hydrogens and formula is None and 1 not in reading.crystal.element:
        raise StructureError("contradiction", f"{sites.hydrogens} hydrogens are attached, but none is listed")
    return reading.crystal


def _refusal(
    readings: list[Reading], broken: str, statements: list[Statement], formula: Formula | None, sites: Sites
) -> StructureError:
    """Describe the contradiction."""
    errors = [reading.crystal for reading in readings if isinstance(reading.crystal, StructureError)]
    if errors and len(errors) == len(readings) and not broken:
        return errors[0]
    facts = [broken] if broken else []
    facts += [str(reading) for reading in readings]
    named = {reading.source for reading in readings}
    facts += [f"the file has {s.text}" for s in statements if s.text not in named]
    if formula is not None:
        facts.append(formula.text)
    if any(reading.multiplicity == "contradicted" for reading in readings):
        facts.append(f"the multiplicities are {sites.multiplicity.tolist()[:8]}")
    return StructureError("not_a_group" if broken else "contradiction", "; ".join(facts))


def _formula(block: gemmi.cif.Block) -> Formula | None:
    """The formula of the file; None if there is none that can be read."""
    text = next(iter(texts(block, ("_chemical_formula_sum",))), "")
    parts = re.findall(r"([A-Z][a-z]?)(\d+\.?\d*|\.\d+)?", text)
    if not text or "".join(element + count for element, count in parts) != re.sub(r"\s", "", text):
        return None
    counts: dict[int, float] = {}
    for element, count in parts:
        number = 1 if element in ("D", "T") else gemmi.Element(element).atomic_number
        if not number:
            return None
        counts[number] = counts.get(number, 0) + float(count or 1)
    if not all(counts.values()) or sum(counts.values()) > 1e6:
        return None
    units = gemmi.cif.as_number(block.find_value("_cell_formula_units_Z") or "?")
    known = np.isfinite(units) and 1 <= units <= 1e6 and units == round(units)
    words = f"the formula is {text!r}" + (f" with Z = {int(units)}" if known else "")
    return Formula(words, counts, int(units) if known else 0)


def _counts(crystal: Cell) -> dict[int, int]:
    return dict(Counter(crystal.element.tolist()))


def _written(counts: dict[int, int]) -> str:
    return " ".join(f"{gemmi.Element(z).name}{n}" for z, n in counts.items())
