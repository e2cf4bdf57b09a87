"""What enters relaxation: elements only, and no number that is none reaches compiled code."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import DummySpecies, Lattice, Structure
from tests.broken_numbers import printed
from tests.crystallography.prototypes import prototype
from tests.structures.test_convert import decorated

from symmcd.stability.batch_relaxation import Limits, relax_many
from symmcd.stability.batched_potential import BatchedPotential
from symmcd.stability.potential import load_chgnet
from symmcd.stability.relaxation import relax, relax_each

OPTIONS = {"batch_size": 2, "rows": 10_000, "limits": Limits(steps=1)}


@pytest.fixture(scope="module")
def model():
    return load_chgnet("cpu")


def test_decoration_changes_no_energy(model):
    crystals = [prototype("NaCl"), prototype("TiO2 rutile")]
    others = [decorated(crystal, np.random.default_rng(1)) for crystal in crystals]
    potential = BatchedPotential(model)
    for one in (
        lambda structures: [relax(structure, model, steps=1) for structure in structures],
        lambda structures: [r for _, r in sorted(relax_many(structures, potential, "unconstrained", **OPTIONS))],
    ):
        for plain, other in zip(one(crystals), one(others), strict=True):
            assert (plain.status, plain.formula) == (other.status, other.formula)
            assert plain.energy_initial == pytest.approx(other.energy_initial, abs=1e-6)
            assert other.energy_relaxed == pytest.approx(plain.energy_relaxed, abs=1e-6)


@pytest.mark.parametrize(
    ("species", "status"),
    [
        (["Na", DummySpecies("X")], "failed:unknown_element"),
        (["Na", {"Fe": 0.5, "Ni": 0.5}], "failed:disordered"),
        (["Na", {"Fe": 0.5}], "failed:disordered"),
    ],
)
def test_what_is_no_crystal_of_elements_has_a_status(species, status):
    wrong = Structure(Lattice.cubic(4), species, [[0, 0, 0], [0.5, 0.5, 0.5]])
    assert relax(wrong, None).status == status
    assert [found.status for _, found in relax_each([wrong] * 5, None)] == [status] * 5
    found = relax_many([wrong] * 3, None, "unconstrained", **OPTIONS)
    assert [outcome.status for _, outcome in found] == [status] * 3


def test_numbers_that_are_none_end_no_process():
    said = printed("""
from symmcd.stability.batch_relaxation import Limits, relax_many
from symmcd.stability.relaxation import relax
crystals = [crystal for broken in (nan, inf, -inf) for crystal in broken_crystals(broken)]
found = [relax(crystal, None).status for crystal in crystals]
many = relax_many(crystals, None, "unconstrained", batch_size=4, rows=1000, limits=Limits())
print(*found, *(outcome.status for _, outcome in many))
""")
    assert said.split() == ["failed:not_finite"] * 90
