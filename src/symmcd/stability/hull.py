"""Energy above the convex hull of reference crystals, eV/atom.

One interface for every source of reference energies: `ConvexHull` is made from total energies under the potential
itself, or from tabulated formation energies together with the elemental energies that turn a total energy into one.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from numbers import Integral
from typing import Literal

import numpy as np
from pymatgen.core import Composition

from symmcd.crystallography.composition import SYMBOLS, parse_formula, reduced_formula
from symmcd.errors import InputError
from symmcd.stability.lowest_mixture import lowest_mixture

Key = tuple[tuple[str, float], ...]  # elements with their shares of atoms, rounded
EnergyKind = Literal["energy", "formation_energy", "elemental_reference"]


@dataclass(frozen=True)
class HullEntry:
    """One reference crystal, or the elemental energy behind a table of formation energies."""

    formula: str
    energy_per_atom: float  # eV/atom, of the given kind
    kind: EnergyKind
    origin: str  # where it comes from
    id: str = ""


@dataclass(frozen=True)
class HullPoint:
    """The hull at one composition."""

    energy_per_atom: float  # eV/atom, on the scale of the potential's total energies
    formation_energy_per_atom: float  # eV/atom, relative to the elements
    decomposition: str  # as in "0.667 Li2O + 0.333 TiO2", shares of atoms


class MissingReferenceError(Exception):
    """Elements of a composition that have no reference energy; the message lists them as in ``Po+Rn``."""


class ConvexHull:
    """Lower convex hull of formation energies, solved per composition as a linear programme over its own subsystem.

    A crystal is compared with the reference entries alone, itself not among them, so that it may lie below the hull.

    Args:
        entries: kinds `energy` (elemental references are then the lowest entry of each element) or `formation_energy`
            with one `elemental_reference` per element (elements then lie at 0), not both.
    """

    def __init__(self, entries: Iterable[HullEntry]) -> None:
        entries = list(entries)
        kinds = {entry.kind for entry in entries}
        if {"energy", "formation_energy"} <= kinds:
            raise ValueError("a hull is made of total energies or of formation energies, not of both")
        fractions = [_fractions(entry.formula) for entry in entries]
        self._entries = Counter(frozenset(fraction) for fraction in fractions)
        self._elemental: dict[str, float] = {}  # total energy of each element's reference, eV/atom
        for entry, fraction in zip(entries, fractions, strict=True):
            if len(fraction) == 1 and entry.kind in ("energy", "elemental_reference"):
                (element,) = fraction
                self._elemental[element] = min(entry.energy_per_atom, self._elemental.get(element, np.inf))
        # Lowest formation energy of each composition, by the set of its elements; those above 0 are not on the hull.
        self._phases: dict[frozenset[str], dict[Key, tuple[float, str, dict[str, float]]]] = {}
        for element in self._elemental:
            self._phases[frozenset([element])] = {((element, 1.0),): (0.0, element, {element: 1.0})}
        for entry, fraction in zip(entries, fractions, strict=True):
            if entry.kind == "elemental_reference" or not self._elemental.keys() >= fraction.keys():
                continue
            energy = entry.energy_per_atom - (self._baseline(fraction) if entry.kind == "energy" else 0.0)
            if energy > 0:
                continue
            phases = self._phases.setdefault(frozenset(fraction), {})
            key = _key(fraction)
            if key not in phases or energy < phases[key][0]:
                phases[key] = energy, entry.formula, fraction
        self._points: dict[Key, HullPoint] = {}  # those asked for so far

    def at(self, composition: str | Mapping[str, float] | Mapping[int, float]) -> HullPoint:
        """The hull at a composition; results are kept.

        Args:
            composition: formula, or amounts of elements by their symbols or atomic numbers.

        Raises:
            MissingReferenceError: an element without a reference.
        """
        fraction = _fractions_of(composition)
        missing = sorted(fraction.keys() - self._elemental.keys())
        if missing:
            raise MissingReferenceError("+".join(missing))
        key = _key(fraction)
        if key not in self._points:
            self._points[key] = self._solved(fraction)
        return self._points[key]

    def entries_in(self, composition: str | Mapping[str, float] | Mapping[int, float]) -> int:
        """Reference entries in the chemical system of a composition: its compounds, or those of a single element.

        Entries of the elements alone count for nothing in a system of several: every hull has them.
        """
        elements = frozenset(_fractions_of(composition))
        least = min(2, len(elements))
        return sum(self._entries[subset] for subset in _subsets(elements) if len(subset) >= least)

    def _solved(self, fraction: Mapping[str, float]) -> HullPoint:
        elements = sorted(fraction)
        place = {element: row for row, element in enumerate(elements)}
        phases = [phase for subset in _subsets(elements) for phase in self._phases.get(subset, {}).values()]
        composition = np.zeros((len(elements), len(phases)))
        for column, (_, _, shares) in enumerate(phases):
            for element, share in shares.items():
                composition[place[element], column] = share
        energies = np.array([energy for energy, _, _ in phases])
        weights, energy = lowest_mixture(composition, energies, np.array([fraction[e] for e in elements]))
        parts = [(round(w, 6), _reduced(phases[i][1])) for i, w in enumerate(weights.tolist()) if w > 1e-6]
        names = [f"{w:.3f} {formula}" for w, formula in sorted(parts, reverse=True)]
        return HullPoint(energy + self._baseline(fraction), energy, " + ".join(names))

    def _baseline(self, fraction: Mapping[str, float]) -> float:
        """Energy of the separate elements, eV/atom."""
        return sum(share * self._elemental[element] for element, share in fraction.items())


def _fractions_of(composition: str | Mapping[str, float] | Mapping[int, float]) -> dict[str, float]:
    """Shares of atoms by symbol."""
    if isinstance(composition, str):
        return _fractions(composition)
    total = sum(composition.values())
    amounts = {SYMBOLS[e - 1] if isinstance(e, Integral) else str(e): n for e, n in composition.items() if n}
    return {element: amount / total for element, amount in amounts.items()}


def _key(fraction: Mapping[str, float]) -> Key:
    """The same for all multiples of a formula."""
    return tuple(sorted((element, round(share, 9)) for element, share in fraction.items()))


@cache
def _reduced(formula: str) -> str:
    try:
        return reduced_formula(parse_formula(formula))  # as pymatgen spells it, in a quarter of the time
    except InputError:  # amounts that are no whole numbers
        return Composition(formula).reduced_formula


@cache
def _fractions(formula: str) -> dict[str, float]:
    composition = Composition(formula).get_el_amt_dict()
    total = sum(composition.values())
    return {element: amount / total for element, amount in composition.items()}


def _subsets(elements: Iterable[str]) -> Iterable[frozenset[str]]:
    elements = sorted(elements)
    for size in range(1, len(elements) + 1):
        yield from map(frozenset, itertools.combinations(elements, size))
