"""Oxidation states, and elements that are radioactive or scarce."""

from __future__ import annotations

from collections import defaultdict

from pymatgen.analysis.bond_valence import BVAnalyzer

from symmcd.extensions import Screen
from symmcd.screens.crystal import ScreenedCrystal

RADIOACTIVE = frozenset({43, 61, *range(84, 119)})  # without a stable isotope, but bismuth, which is as good as stable
# below 0.02 g in a tonne of the Earth's crust (CRC Handbook of Chemistry and Physics, 97th edition, section 14)
SCARCE = frozenset({2, 10, 36, 44, 45, 46, 52, 54, 75, 76, 77, 78, 79})


def oxidation_states(crystal: ScreenedCrystal) -> str:
    """Oxidation states such as ``Fe3+ O2-``; empty if bond valences give no balanced ones."""
    try:
        found = BVAnalyzer().get_valences(crystal.structure)
    except ValueError:  # none balance, or an element without parameters
        return ""
    states: dict[str, set[int]] = defaultdict(set)
    for site, state in zip(crystal.structure, found, strict=True):
        states[site.specie.symbol].add(int(state))
    return " ".join(
        f"{symbol}{abs(state) if abs(state) != 1 else ''}{'+' if state > 0 else '-' if state < 0 else '0'}"
        for symbol in sorted(states, key=lambda symbol: (-max(states[symbol]), symbol))
        for state in sorted(states[symbol], reverse=True)
    )


def radioactive(crystal: ScreenedCrystal) -> str:
    """Symbols of radioactive elements; empty: none."""
    return _of(crystal, RADIOACTIVE)


def scarce(crystal: ScreenedCrystal) -> str:
    """Symbols of scarce elements; empty: none."""
    return _of(crystal, SCARCE)


def _of(crystal: ScreenedCrystal, numbers: frozenset[int]) -> str:
    return " ".join(sorted(e.symbol for e in crystal.structure.composition.elements if e.Z in numbers))


OXIDATION_STATES = Screen(
    "oxidation states",
    "By bond valence (pymatgen's BVAnalyzer); empty if none that balance are found.",
    "symmcd.screens.chemistry:oxidation_states",
    text=True,
    slow=True,
)
RADIOACTIVE_ELEMENTS = Screen(
    "radioactive elements",
    "Elements without a stable isotope (bismuth counts as stable); empty: none.",
    "symmcd.screens.chemistry:radioactive",
    text=True,
)
SCARCE_ELEMENTS = Screen(
    "scarce elements",
    "Elements of which the Earth's crust has less than 0.02 g in a tonne (CRC Handbook); empty: none.",
    "symmcd.screens.chemistry:scarce",
    text=True,
)
