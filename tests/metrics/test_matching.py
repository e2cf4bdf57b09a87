"""Looking up in several processes gives what one gives, and what pymatgen's matcher says of each pair."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from symmcd import reduce
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.metrics import matching, originality
from symmcd.metrics.matching import same_crystals
from symmcd.metrics.originality import Found, look_up
from symmcd.metrics.reference_set import ReferenceSet
from tests.crystallography.prototypes import prototype

NAMES = ("NaCl", "CsCl", "TiO2 rutile", "ZnO", "CdI2", "SrTiO3")


def perturbed(name: str, seed: int, size: float) -> Structure:
    structure = prototype(name)
    structure.perturb(size, min_distance=0.0, seed=seed)
    return structure


@pytest.fixture
def structures() -> list[Structure]:
    """Each prototype exactly, a little moved, and moved beyond recognition; a flat cell; two atoms on one place."""
    made = [perturbed(name, seed, size) for name in NAMES for seed, size in ((0, 0.0), (1, 0.05), (2, 1.2))]
    flat = Structure(Lattice([[4, 0, 0], [0, 4, 0], [4, 4, 0]]), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    return [*made, flat, Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0, 0, 0]])]


def units(*names: str) -> ReferenceSet:
    return ReferenceSet(AsymmetricUnits.from_units([reduce(prototype(name)) for name in names], list(names)))


def test_as_the_matcher_says_in_one_process_and_in_three(
    structures: list[Structure], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching, "A_PROCESS", 1)
    reference, others = units("NaCl", "CdI2"), [units("CsCl"), units("CsCl", "TiO2 rutile")]
    found = look_up(structures, reference, others)
    advanced = []
    assert look_up(structures, reference, others, 3, advanced.append) == found
    assert sum(advanced) == len(structures)
    matcher = StructureMatcher()
    for structure, (name, _) in zip(structures, [(n, s) for n in NAMES for s in range(3)], strict=False):
        matches = matcher.fit(structure, prototype(name))
        entry = found[structures.index(structure)]
        assert not entry.problem
        assert entry.known_as == (name if matches and name in ("NaCl", "CdI2") else None)
        assert entry.elsewhere == (name if matches and name in ("CsCl", "TiO2 rutile") else None)
    assert sum(entry.known_as is not None for entry in found) >= 4
    assert found[-2] == Found("bad_cell")

    comparable = [s for s, entry in zip(structures, found, strict=True) if not entry.problem]
    one, several = same_crystals(comparable), same_crystals(comparable, 3)
    expected = np.array([[matcher.fit(a, b) for b in comparable] for a in comparable])
    for same in (one, several):
        answers = np.array([[i == j or same(i, j) for j in range(len(comparable))] for i in range(len(comparable))])
        np.testing.assert_array_equal(answers, expected)


def test_a_crystal_that_a_process_dies_of_is_a_problem_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "A_PROCESS", 1)
    monkeypatch.setattr(originality, "SECONDS", 0.0)  # nothing is that fast
    found = look_up([prototype("NaCl"), prototype("CsCl")], units("NaCl"), workers=2)
    assert found == [Found("failed:timed_out")] * 2
