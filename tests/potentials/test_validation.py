"""What ships and a toy keep every law of a potential; a toy that breaks one is told which."""

import dataclasses

import numpy as np
import pytest
from tests.potentials.toy import Morse

from symmcd.extensions import POTENTIALS
from symmcd.potentials.laws import LawError
from symmcd.potentials.potential import Point
from symmcd.potentials.validation import check, faults


@pytest.mark.parametrize("name", POTENTIALS.shipped)
def test_shipped_potentials_keep_every_law(name):
    if POTENTIALS[name].extra:
        pytest.importorskip("sevenn", reason="of the extra `judge`")
    potential = POTENTIALS[name].load("cpu")
    assert potential.elements == POTENTIALS[name].elements
    check(potential)


def test_a_pair_potential_keeps_every_law():
    check(Morse())


def changed(**change):
    """The toy with numbers of its points changed by functions of (request, number)."""

    class Broken(Morse):
        def _answer(self, request, *, forces):
            point = super()._answer(request, forces=forces)
            if not (isinstance(point, Point) and forces):
                return point
            new = {name: f(request, getattr(point, name)) for name, f in change.items()}
            return dataclasses.replace(point, **new)

    return Broken()


@pytest.mark.parametrize(
    ("potential", "law"),
    [
        (changed(virial=lambda _, virial: -virial), "stress is a slope of the energy"),
        (changed(virial=lambda r, virial: virial / r.volume), "stress is a slope of the energy"),
        (changed(forces=lambda _, forces: forces * 1.01), "forces are slopes of the energy"),
        (changed(energy=lambda r, energy: energy * len(r.element)), "energies are extensive"),
        (changed(energy=lambda r, energy: energy + 1e-3 * r.lattice[0, 0]), "energies do not turn"),
        (changed(energy=lambda r, energy: energy + 1e-3 * r.element[0]), "the order of atoms does not matter"),
        (changed(energy=lambda r, energy: energy + (r.owner is not None)), "what is kept from step to step"),
        (changed(energy=lambda r, energy: energy + (r.symmetry is not None)), "symmetry changes nothing"),
        (changed(forces=lambda _, forces: forces[:1] * 0), "expected one row per atom"),
    ],
)
def test_a_broken_potential_is_told_which_law(potential, law):
    found = faults(potential)
    assert any(law in fault for fault in found), found
    with pytest.raises(LawError, match="breaks"):
        check(potential)


class Batched(Morse):
    """Whose answers depend on what is computed beside."""

    def evaluate(self, requests, *, forces=True):
        shift = 0.01 * len(requests)
        answers = super().evaluate(requests, forces=forces)
        return [dataclasses.replace(a, energy=a.energy + shift) if isinstance(a, Point) else a for a in answers]


class Crashing(Morse):
    """That raises in place of an answer."""

    def _answer(self, request, *, forces):
        if not np.isfinite(request.position).all():
            raise ValueError("nan")
        return super()._answer(request, forces=forces)


class Short(Morse):
    """That leaves out what it does not like."""

    def evaluate(self, requests, *, forces=True):
        return super().evaluate(requests, forces=forces)[1:]


class Silent(Morse):
    """That has nothing to say of larger cells."""

    def _answer(self, request, *, forces):
        return super()._answer(request, forces=forces) if len(request.element) < 4 else None


class Credulous(Morse):
    """That knows a number for every element."""

    def _answer(self, request, *, forces):
        return super()._answer(dataclasses.replace(request, element=np.minimum(request.element, 83)), forces=forces)


@pytest.mark.parametrize(
    ("kind", "law"),
    [
        (Batched, "a batch is its crystals"),
        (Crashing, "ValueError (nan) in place of an answer"),
        (Credulous, "an unknown element: an energy"),
        (Short, "a batch is its crystals: 3 answers to 4 requests"),
        (Silent, "NoneType in place of a point or a reason"),
    ],
)
def test_answers_to_many_at_once_are_held_to_laws_too(kind, law):
    assert any(law in fault for fault in faults(kind()))
