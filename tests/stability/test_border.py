"""What enters relaxation: elements only, and no number that is none reaches compiled code."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import DummySpecies, Lattice, Structure
from tests.broken_numbers import printed
from tests.crystallography.prototypes import prototype
from tests.structures.test_convert import decorated

from symmcd.extensions import POTENTIALS
from symmcd.potentials.chgnet.struct_optimizer import optimise
from symmcd.potentials.potential import Potential
from symmcd.stability.batch_relaxation import relax_many
from symmcd.stability.outcome import Limits
from symmcd.stability.own_optimiser import relax_each

OPTIONS = {"batch_size": 2, "limits": Limits(steps=1)}


class Nothing(Potential):
    """Knows no element."""

    elements = frozenset()

    def evaluate(self, requests, *, forces=True):  # noqa: ARG002
        raise AssertionError("no crystal gets here")


def each(structures, potential):
    return [found for _, found in relax_each(structures, potential, "its_own", optimise, Limits(steps=1))]


def test_decoration_changes_no_energy():
    crystals = [prototype("NaCl"), prototype("TiO2 rutile")]
    others = [decorated(crystal, np.random.default_rng(1)) for crystal in crystals]
    potential = POTENTIALS["chgnet"].load("cpu")
    for one in (
        lambda structures: each(structures, potential),
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
    assert [found.status for found in each([wrong] * 5, None)] == [status] * 5
    found = relax_many([wrong] * 3, Nothing(), "unconstrained", **OPTIONS)
    assert [outcome.status for _, outcome in found] == [status] * 3


def test_numbers_that_are_none_end_no_process():
    said = printed("""
from tests.stability.test_border import Nothing, each
from symmcd.stability.batch_relaxation import relax_many
from symmcd.stability.outcome import Limits
crystals = [crystal for broken in (nan, inf, -inf) for crystal in broken_crystals(broken)]
found = [outcome.status for outcome in each(crystals, None)]
many = relax_many(crystals, Nothing(), "unconstrained", batch_size=4, limits=Limits())
print(*found, *(outcome.status for _, outcome in many))
""")
    assert said.split() == ["failed:not_finite"] * 90
