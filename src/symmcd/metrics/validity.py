"""Validity of CDVAE (Xie et al. 2022), as the paper's Table 2 uses it."""

from __future__ import annotations

import functools
import itertools
import time
from dataclasses import dataclass

import numpy as np
from pymatgen.core import Composition, Lattice, Structure

CLOSEST = 0.5
"""Å, the least distance between two atoms."""
SMALLEST_VOLUME = 0.1
"""Å³."""
LONGEST_EDGE = 40.0
"""Å."""
ROWS = 256
"""Atoms whose distances to the others are computed at once, to bound the memory."""
MOST_COMBINATIONS = 1e7
"""Oxidation-state combinations beyond which CDVAE gives up and calls a composition invalid."""


@dataclass(frozen=True)
class Distances:
    """Least distances in a crystal, Å; infinite where there is no pair."""

    between_atoms: float  # two different atoms of the cell, any periodic images (paper)
    with_self: float  # also an atom and its own images


def distances(structure: Structure) -> Distances:
    """Least distances under periodic boundary conditions, by pymatgen's search of the 27 nearest cells."""
    between = np.inf
    for first in range(0, len(structure), ROWS):
        rows = structure.frac_coords[first : first + ROWS]
        matrix = structure.lattice.get_all_distances(rows, structure.frac_coords[first:])
        between = min(between, matrix[np.triu_indices(len(matrix), 1, matrix.shape[1])].min(initial=np.inf))
    return Distances(float(between), min(float(between), shortest_translation(structure.lattice)))


def shortest_translation(lattice: Lattice) -> float:
    """Length of the shortest lattice vector, Å.

    In an LLL-reduced basis (delta = 3/4) its coefficients are at most 3, by the bounds on the Gram–Schmidt lengths.
    """
    steps = np.array(list(itertools.product(range(-3, 4), repeat=3)))
    lengths = np.linalg.norm(steps @ lattice.get_lll_reduced_lattice().matrix, axis=1)
    return float(lengths[steps.any(axis=1)].min())


def structural_verdict(structure: Structure, closest: float) -> str:
    """``valid``, or which of the three conditions fails first: ``too_close``, ``too_small``, ``too_long``.

    Beyond them the authors' program refuses to build a crystal with an edge below 1 Å; that is not counted here.
    """
    if closest < CLOSEST:
        return "too_close"
    if structure.volume < SMALLEST_VOLUME:
        return "too_small"
    return "too_long" if max(structure.lattice.abc) > LONGEST_EDGE else "valid"


def structurally_valid(structure: Structure, closest: float) -> bool:
    """No atoms closer than 0.5 Å, a volume of 0.1 Å³ at least, no edge above 40 Å."""
    return structural_verdict(structure, closest) == "valid"


@functools.lru_cache(maxsize=100_000)
def composition_verdict(formula: str, seconds: float) -> str:
    """``valid``, ``invalid``, ``too_many``, ``timed_out`` or ``no_data`` by SMACT's rules of the CDVAE era.

    Single elements and alloys of metals are valid; otherwise some choice of oxidation states (SMACT's 2014 lists) must
    be neutral in the reduced formula and pass the Pauling electronegativity test.  ``no_data``: SMACT has nothing on an
    element (those beyond lawrencium).

    Args:
        formula: any formula of the crystal.
        seconds: time limit, looked at before each neutral combination; listing them takes 0.2 s at most.
    """
    composition = Composition(formula).get_integer_formula_and_factor()[0]
    counts = {str(element): int(count) for element, count in Composition(composition).items()}
    return _verdict(tuple(counts), tuple(counts.values()), time.monotonic() + seconds)


def _verdict(elements: tuple[str, ...], counts: tuple[int, ...], deadline: float) -> str:
    import smact
    from smact.screening import pauling_test

    if len(elements) == 1 or all(element in smact.metals for element in elements):
        return "valid"
    try:
        dictionary = smact.element_dictionary(elements)
    except (KeyError, NameError):  # how it says that it does not know an element
        return "no_data"
    states = [dictionary[element].oxidation_states_smact14 or [] for element in elements]
    if np.prod([len(s) for s in states], dtype=float) > MOST_COMBINATIONS:
        return "too_many"
    # every combination's charge at once, one axis an element: the neutral ones are few
    charge = np.zeros(1, np.int32)
    for of_element, count in zip(states, counts, strict=True):
        charge = np.add.outer(charge, np.array(of_element, np.int32) * count)
    electronegativity = [dictionary[element].pauling_eneg for element in elements]
    for choice in zip(*np.nonzero(charge[0] == 0), strict=True):
        if time.monotonic() > deadline:
            return "timed_out"
        if pauling_test([s[int(i)] for s, i in zip(states, choice, strict=True)], electronegativity):
            return "valid"
    return "invalid"
