"""The Materials Project's corrections (MP2020), for potentials that give its PBE(+U) energies without them.

Wang et al., Sci. Rep. 11, 15496 (2021): constants per atom for anions, and for transition metals whose oxides and
fluorides the Materials Project computes with a Hubbard U.  Without them the energies of these oxides and fluorides are
not on the scale of other crystals' energies, in any hull.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any

from pymatgen.core import Composition, IStructure, Structure

from symmcd.stability.outcome import Relaxation
from symmcd.structures.cell import Cell
from symmcd.structures.convert import to_structure

MISSING = "no_correction"  # status of a crystal that the scheme has no place for
COLUMNS = ("correction_initial", "correction_relaxed")  # beside energy_initial and energy_relaxed


@cache
def _scheme() -> Any:
    from pymatgen.entries.compatibility import MaterialsProject2020Compatibility

    return MaterialsProject2020Compatibility(check_potcar=False)  # there is no POTCAR to check


def correction(crystal: Structure | IStructure) -> float | None:
    """Correction in eV/atom, to be added to the PBE(+U) energy of a crystal; None if pymatgen has none for it.

    The crystal counts as computed by the Materials Project's settings: with U where it applies one.  The structure
    says whether oxygen is in an oxide, peroxide or superoxide; oxidation states are guessed from the composition.
    """
    from pymatgen.entries.computed_entries import ComputedStructureEntry

    if len(crystal.composition) < 2:
        return 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # oxidation states that cannot be guessed, electronegativities of noble gases
        hubbards = hubbard_values(crystal.composition)
        parameters = {"run_type": "GGA+U" if hubbards else "GGA", "hubbards": hubbards}
        data = {"oxidation_states": _oxidation_states(crystal.composition.formula)}
        entry = ComputedStructureEntry(Structure.from_sites(list(crystal)), 0.0, parameters=parameters, data=data)
        found = _scheme().process_entry(entry)
    return None if found is None else float(found.correction_per_atom)


def corrections(crystal: Cell, result: Relaxation) -> dict[str, float | None]:
    """`COLUMNS` of a relaxed crystal in eV/atom, None if there is no energy to correct, or no correction.

    Args:
        crystal: before relaxation.
        result: of the relaxation.
    """
    initial = None if result.energy_initial is None else correction(to_structure(crystal))
    relaxed = None if result.structure is None else correction(result.structure)
    return dict(zip(COLUMNS, (initial, relaxed), strict=True))


def corrected(row: Mapping[str, str]) -> dict[str, str]:
    """A row of relaxed.csv with its corrections in its energies.

    An energy without a correction is left blank, as it is on no scale that a hull has; where it is the relaxed one, the
    status is `MISSING`.
    """
    result = dict(row)
    for energy, name in zip(("energy_initial", "energy_relaxed"), COLUMNS, strict=True):
        if row[energy] and row[name]:
            result[energy] = f"{float(row[energy]) + float(row[name]):.6f}"
        elif row[energy]:
            result[energy] = ""
    if row["energy_relaxed"] and not result["energy_relaxed"]:
        result["status"] = MISSING
    return result


def hubbard_values(composition: Composition) -> dict[str, float]:
    """U in eV of each element that the Materials Project gives one: metals in oxides and fluorides."""
    elements = sorted(composition.elements, key=lambda element: element.X)  # as pymatgen's scheme sorts them
    of_anion = _scheme().u_settings.get(elements[-1].symbol, {})
    return {e.symbol: float(of_anion[e.symbol]) for e in composition.elements if of_anion.get(e.symbol)}


@cache
def _oxidation_states(formula: str) -> dict[str, float]:
    """Values that pymatgen's scheme would guess itself, kept from crystal to crystal."""
    try:
        guesses = Composition(formula).oxi_state_guesses(max_sites=-20)
    except ValueError:  # too many atoms
        return {}
    return dict(guesses[0]) if guesses else {}
