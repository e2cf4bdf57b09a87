"""Validity of CDVAE (Xie et al. 2022), as the paper's Table 2 uses it."""

from __future__ import annotations

import functools
import itertools
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from pymatgen.core import Composition, Structure

CLOSEST = 0.5
"""Å, the least distance between two atoms."""
SMALLEST_VOLUME = 0.1
"""Å³."""
LONGEST_EDGE = 40.0
"""Å."""
MOST_COMBINATIONS = 1e7
"""Oxidation-state combinations beyond which CDVAE gives up and calls a composition invalid."""


@dataclass(frozen=True)
class Distances:
    """Least distances in a crystal, Å; infinite where there is no pair."""

    between_atoms: float  # two different atoms of the cell, any periodic images (paper)
    with_self: float  # also an atom and its own images


def distances(structure: Structure) -> Distances:
    """Least distances under periodic boundary conditions."""
    matrix = structure.distance_matrix
    between = matrix[np.triu_indices(len(structure), 1)].min(initial=np.inf)
    own = structure.lattice.get_points_in_sphere([[0, 0, 0]], [0, 0, 0], max(structure.lattice.abc) + 1e-6)
    shortest = min(float(distance) for _, distance, *_ in own if distance > 1e-8)
    return Distances(float(between), min(float(between), shortest))


def structurally_valid(structure: Structure, closest: float) -> bool:
    """No atoms closer than 0.5 Å, a volume of 0.1 Å³ at least, no edge above 40 Å."""
    return bool(closest >= CLOSEST and structure.volume >= SMALLEST_VOLUME and max(structure.lattice.abc) <= LONGEST_EDGE)


@functools.lru_cache(maxsize=100_000)
def composition_verdict(formula: str, seconds: float) -> str:
    """``valid``, ``invalid``, ``too_many`` or ``timed_out`` by SMACT's rules of the CDVAE era.

    Single elements and alloys of metals are valid; otherwise some choice of oxidation states (SMACT's 2014 lists) must
    be neutral in the reduced formula and pass the Pauling electronegativity test.

    Args:
        formula: any formula of the crystal.
        seconds: time limit.
    """
    composition = Composition(formula).get_integer_formula_and_factor()[0]
    counts = {str(element): int(count) for element, count in Composition(composition).items()}
    try:
        with _time_limit(seconds):
            return _verdict(tuple(counts), tuple(counts.values()))
    except TimeoutError:
        return "timed_out"


def _verdict(elements: tuple[str, ...], counts: tuple[int, ...]) -> str:
    import smact
    from smact.screening import pauling_test

    if len(elements) == 1 or all(element in smact.metals for element in elements):
        return "valid"
    dictionary = smact.element_dictionary(elements)
    states = [dictionary[element].oxidation_states_smact14 or [] for element in elements]
    if np.prod([len(s) for s in states], dtype=float) > MOST_COMBINATIONS:
        return "too_many"
    electronegativity = [dictionary[element].pauling_eneg for element in elements]
    for choice in itertools.product(*states):
        if sum(state * count for state, count in zip(choice, counts, strict=True)) == 0 and (
            pauling_test(choice, electronegativity, symbols=elements)
        ):
            return "valid"
    return "invalid"


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """TimeoutError after so long (main thread of a Unix process)."""

    def stop(_number: int, _frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
