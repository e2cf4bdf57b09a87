"""Doubts about a crystal that counts as stable, in words."""

from __future__ import annotations

import math

FAR_BELOW = -0.1  # eV/atom above the hull
DISAGREE = 0.05  # eV/atom, between judges
MOVED = 0.5  # Å, r.m.s. displacement
# By atomic number.  Bismuth's 2·10¹⁹ years count as stable.
RADIOACTIVE = frozenset({43, 61, *range(84, 119)})
WORDS = {  # each doubt in a few words, for people
    "far_below_hull": f"more than {-FAR_BELOW:g} eV/atom below the hull",
    "no_known_compound": "no known compound that it could decompose into",
    "few_references": "fewer other entries of the hull in its chemical system than it has elements",
    "own_reference": "an entry of the hull itself",
    "judges_disagree": f"judges differ by more than {DISAGREE:g} eV/atom, or one has no energy of it",
    "moved": f"moved by more than {MOVED:g} Å in relaxation",
    "radioactive": "a radioactive element",
}


def doubts(
    formula: str,
    e_above_hull: float,
    decomposition: str,
    rms_displacement: float,
    reference_entries: float = math.nan,
    own_reference: str = "",
    judges_spread: float = math.nan,
) -> tuple[str, ...]:
    """Doubts that apply to a crystal.

    ======================  ==========================================================================================
    ``far_below_hull``      more than 0.1 eV/atom below it: the hull lacks a competitor, or the potential is wrong
    ``no_known_compound``   of two or more elements, and the hull at its composition consists of elements alone
    ``few_references``      the hull has fewer entries in its chemical system, others than it, than it has elements
    ``own_reference``       it is an entry of the hull itself, which it can hardly lie above
    ``judges_disagree``     energies above the hull by two judges differ by more than 0.05 eV/atom, or a judge has none
    ``moved``               r.m.s. displacement in relaxation above 0.5 Å: no longer the crystal that was generated
    ``radioactive``         has an element without a stable isotope
    ======================  ==========================================================================================

    Args:
        formula: of the crystal.
        e_above_hull: relaxed, eV/atom; nan if unknown, like what follows.
        decomposition: as in `HullPoint`; empty if unknown.
        rms_displacement: Å.
        reference_entries: compounds that the hull has in the chemical system of the crystal, itself not among them.
        own_reference: id of the entry that is the crystal itself; empty if there is none.
        judges_spread: largest less smallest of the judges' energies above hulls of one family, eV/atom; infinite where
            one of them has none.
    """
    from pymatgen.core import Composition  # takes long to load, and who reads only the words needs none

    elements = Composition(formula).elements
    phases = [Composition(part.split()[-1]) for part in decomposition.split(" + ")] if decomposition else []
    applies = {
        "far_below_hull": e_above_hull < FAR_BELOW,
        "no_known_compound": len(elements) > 1 and bool(phases) and all(len(phase) == 1 for phase in phases),
        "few_references": reference_entries < len(elements),
        "own_reference": bool(own_reference),
        "judges_disagree": judges_spread > DISAGREE,
        "moved": rms_displacement > MOVED,
        "radioactive": any(element.Z in RADIOACTIVE for element in elements),
    }
    return tuple(word for word, fits in applies.items() if fits)
