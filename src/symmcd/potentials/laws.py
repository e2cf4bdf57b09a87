"""Laws that every potential has to obey; `symmcd.potentials.validation` tests potentials against them.

A law is a function of a potential and of sound crystals, which yields what is wrong, one line each.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
from symmcd.crystallography.symmetric_cell import SymmetricCell
from symmcd.errors import SymmcdError
from symmcd.potentials.potential import Point, Potential, Request, UnusableCrystalError

SLOPE = 3e-3  # relative error of forces and stress against differences of energies
# Å, and of strains.  Networks of many radial waves bend within 0.01: differences of that step are 0.4 % off the slope
# of CHGNet-r2SCAN, of this one 0.1 %.
STEP = 0.005


class LawError(SymmcdError):
    """A potential breaks a law; the message says which, where and by how much."""


def _energies_are_extensive(potential: Potential, crystals: Sequence[Request]) -> Iterator[str]:
    """A supercell has the energy per atom, the forces and the stress of its cell."""
    multiples = (np.diag([2, 1, 1]), np.array([[1, 1, 0], [0, 1, 0], [0, 0, 2]]))
    for request in crystals:
        cell = _point(potential, request)
        for multiple in multiples:
            larger, copy_of = _supercell(request, multiple)
            expected = Point(cell.energy, cell.forces[copy_of], cell.virial * abs(np.linalg.det(multiple)))
            yield from _differences(potential, request, f"as a supercell {multiple.tolist()}", larger, expected)


def _numbers_turn_with_the_crystal(potential: Potential, crystals: Sequence[Request]) -> Iterator[str]:
    """A turned crystal has the same energy, and forces and virial turned."""
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)  # no mirror image
    for request in crystals:
        point = _point(potential, request)
        turned = dataclasses.replace(request, lattice=request.lattice @ turn)
        expected = Point(point.energy, point.forces @ turn, turn.T @ point.virial @ turn)
        yield from _differences(potential, request, "turned", turned, expected)


def _order_of_atoms_does_not_matter(potential: Potential, crystals: Sequence[Request]) -> Iterator[str]:
    """Atoms in another order, some of them in the next cell, all of them shifted."""
    random = np.random.default_rng(2)
    for request in crystals:
        point, order = _point(potential, request), random.permutation(len(request.element))
        position = request.position[order] + random.integers(-1, 2, (len(order), 3)) + random.random(3)
        other = dataclasses.replace(request, position=position, element=request.element[order])
        expected = Point(point.energy, point.forces[order], point.virial)
        yield from _differences(potential, request, "in another order", other, expected)


def _forces_are_slopes(potential: Potential, crystals: Sequence[Request]) -> Iterator[str]:
    """Forces are minus the slopes of the energy, along themselves and along random shifts."""
    for request in crystals:
        forces = _point(potential, request).forces
        for direction in _directions(forces):
            slope = _slope(potential, functools.partial(_shifted, request, direction))
            yield from _slope_fault(potential, request, "forces", -float(np.vdot(forces, direction)), slope, forces)


def _stress_is_a_slope(potential: Potential, crystals: Sequence[Request]) -> Iterator[str]:
    """The virial (stress times volume) is the slope of the energy, along itself and along random strains."""
    for request in crystals:
        virial = _point(potential, request).virial
        if np.abs(virial - virial.T).max() > _tolerance(potential, float(np.abs(virial).max())):
            yield f"{_name(request)}: the virial is not symmetric"
        for direction in _directions(virial):
            strain = (direction + direction.T) / 2
            slope = _slope(potential, functools.partial(_strained, request, strain))
            yield from _slope_fault(potential, request, "virial", float(np.vdot(virial, strain)), slope, virial)


def _a_batch_is_its_crystals(potential: Potential, crystals: Sequence[Request]) -> Iterator[str]:
    """Crystals together have the numbers that each has alone; energies alone are those that come with forces."""
    together = _answers(potential, crystals)
    energies = _asked(potential, crystals, forces=False)
    for request, point, alone in zip(crystals, together, energies, strict=True):
        yield from _differences(potential, request, "alone", request, point)
        if not isinstance(alone, Point) or abs(alone.energy - point.energy) > _tolerance(potential, 1):
            yield f"{_name(request)}: without forces {alone}, with forces {point.energy} eV/atom"


def _what_is_kept_changes_nothing(potential: Potential, crystals: Sequence[Request]) -> Iterator[str]:
    """A crystal that wanders has at each step the numbers of one that never moved."""
    for request in crystals:
        owner = _Owner()
        random = np.random.default_rng(3)
        shift = random.normal(size=request.position.shape) @ np.linalg.inv(request.lattice)
        for way in (0.0, 0.1, 0.3, 0.6):
            there = dataclasses.replace(
                request, lattice=request.lattice * (1 + way / 5), position=request.position + way * shift
            )
            expected = _point(potential, there)
            yield from _differences(potential, there, "on its way", dataclasses.replace(there, owner=owner), expected)


def _symmetry_changes_nothing(potential: Potential, crystals: Sequence[Request]) -> Iterator[str]:
    """A crystal has the same energy with and without its symmetry, and the same forces and virial, averaged over it."""
    elements = crystals[-1].element
    scale = float(np.linalg.norm(crystals[-1].lattice, axis=1).max())
    units = [
        AsymmetricUnit(
            136, np.diag([1, 1, 0.64]) * scale, elements[[0, -1]], ("a", "f"),
            np.array([[0, 0, 0], [0.305, 0.305, 0]]),
        ),
        AsymmetricUnit(225, np.eye(3) * scale, elements[[0, -1]], ("a", "b"), np.array([[0, 0, 0], [0.5, 0.5, 0.5]])),
    ]  # fmt: skip
    for unit in units:
        cell = SymmetricCell(unit)
        whole = Request(*cell.geometry(cell.start), cell.element)
        point, expected = _point(potential, dataclasses.replace(whole, symmetry=cell)), _point(potential, whole)
        forces, virial = cell.symmetrised(whole.lattice, point.forces, point.virial)
        where = f"{_name(whole)} in space group {unit.space_group}, its symmetry told"
        yield from _distances(potential, where, Point(point.energy, forces, virial), expected)


def _what_is_no_crystal_has_an_answer(potential: Potential, crystals: Sequence[Request]) -> Iterator[str]:
    """Lone atoms, overlaps, unknown elements and numbers that are none are answered, and leave the others as they are.

    A lone or an overlapping atom may have finite numbers or a reason; the rest must have a reason.
    """
    sound = crystals[1]
    element, places = sound.element, np.zeros((2, 3))
    unknown = next(z for z in range(118, 0, -1) if z not in potential.elements) if len(potential.elements) < 118 else 0
    flat, endless = np.diag([4.0, 4.0, 1e-6]), np.where(sound.lattice == 0, 0, np.inf)
    bad = {
        "a lone atom": Request(np.eye(3) * 30, places[:1], element[:1]),
        "two atoms on one point": Request(sound.lattice, places, element),
        "a coordinate that is nan": Request(sound.lattice, places + [[0, 0, 0], [np.nan, 0, 0]], element),
        "a cell that is infinite": Request(endless, sound.position, element),
        "a flat cell": Request(flat, sound.position, element),
    }
    if unknown:
        bad["an unknown element"] = Request(sound.lattice, sound.position, np.array([unknown, element[1]]))
    mixed = [request for one in bad.values() for request in (one, sound)]
    try:
        answers = _asked(potential, mixed)
    except LawError:
        raise
    except Exception as error:  # noqa: BLE001  (whatever it raises is what is looked for)
        yield f"{type(error).__name__} ({error}) in place of an answer"
        return
    expected = _point(potential, sound)
    for (what, _), answer, beside in zip(bad.items(), answers[::2], answers[1::2], strict=True):
        may = what.startswith(("a lone", "two atoms"))
        if isinstance(answer, Point) and not may:
            yield f"{what}: an energy ({answer.energy}) in place of a reason"
        if isinstance(answer, Point) and not _finite(answer):
            yield f"{what}: numbers that are not finite in place of a reason"
        if isinstance(beside, Point):
            yield from _distances(potential, f"{_name(sound)} beside {what}", beside, expected)
        else:
            yield f"{_name(sound)} beside {what}: {beside}"
    if unknown and not str(answers[-2]).startswith("unknown_element:"):
        yield f"an unknown element: the reason is {answers[-2]}, expected unknown_element:SYMBOL"


Law = Callable[[Potential, Sequence[Request]], Iterator[str]]
LAWS: dict[str, Law] = {
    "energies are extensive": _energies_are_extensive,
    "energies do not turn, forces and stress do": _numbers_turn_with_the_crystal,
    "the order of atoms does not matter": _order_of_atoms_does_not_matter,
    "forces are slopes of the energy": _forces_are_slopes,
    "stress is a slope of the energy": _stress_is_a_slope,
    "a batch is its crystals": _a_batch_is_its_crystals,
    "what is kept from step to step changes nothing": _what_is_kept_changes_nothing,
    "symmetry changes nothing": _symmetry_changes_nothing,
    "what is not a crystal has an answer": _what_is_no_crystal_has_an_answer,
}


# --- what they are made of -------------------------------------------------------------------------------------------


class _Owner:
    """Stands for a relaxation."""


def _point(potential: Potential, request: Request) -> Point:
    return _answers(potential, [request])[0]


def _answers(potential: Potential, requests: Sequence[Request]) -> list[Point]:
    answers = _asked(potential, requests)
    for request, answer in zip(requests, answers, strict=True):
        if isinstance(answer, UnusableCrystalError):
            raise LawError(f"{_name(request)} cannot be computed: {answer}")
        shapes = answer.forces.shape, answer.virial.shape
        if shapes != ((len(request.element), 3), (3, 3)):
            raise LawError(
                f"{_name(request)}: forces and virial of shapes {shapes}; expected one row per atom, and (3, 3)"
            )
        if not _finite(answer):
            raise LawError(f"{_name(request)}: numbers that are not finite")
    return [answer for answer in answers if isinstance(answer, Point)]


def _asked(
    potential: Potential, requests: Sequence[Request], *, forces: bool = True
) -> list[Point | UnusableCrystalError]:
    """One answer for each request, a point or a reason; LawError where they are not that."""
    answers = list(potential.evaluate(requests, forces=forces))
    if len(answers) != len(requests):
        raise LawError(f"{len(answers)} answers to {len(requests)} requests")
    for request, answer in zip(requests, answers, strict=True):
        if not isinstance(answer, Point | UnusableCrystalError):
            raise LawError(f"{_name(request)}: {type(answer).__name__} in place of a point or a reason")
        if isinstance(answer, Point) and np.shape(answer.energy):
            raise LawError(f"{_name(request)}: an array in place of an energy")
    return answers


def _supercell(request: Request, multiple: np.ndarray) -> tuple[Request, np.ndarray]:
    """The crystal in a cell with rows `multiple` (3, 3) in terms of its own, and of which atom each is a copy."""
    inverse = np.linalg.inv(multiple)
    reach = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3), axis=-1).reshape(-1, 3)
    inside = reach @ inverse
    chosen = reach[((inside > -1e-9) & (inside < 1 - 1e-9)).all(axis=1)]
    position = (request.position[None] + chosen[:, None]) @ inverse
    copy_of = np.tile(np.arange(len(request.element)), len(chosen))
    larger = Request(multiple @ request.lattice, position.reshape(-1, 3), request.element[copy_of])
    return larger, copy_of


def _finite(point: Point) -> bool:
    return all(bool(np.isfinite(numbers).all()) for numbers in (point.energy, point.forces, point.virial))


def _name(request: Request) -> str:
    return f"a cell of the elements {'-'.join(map(str, request.element.tolist()))}"


def _tolerance(potential: Potential, size: float) -> float:
    """Allowed difference of two numbers that should be one, of which the larger ones have this size."""
    return 10 * potential.noise * max(1.0, size)


def _differences(potential: Potential, request: Request, how: str, other: Request, expected: Point) -> Iterator[str]:
    yield from _distances(potential, f"{_name(request)} {how}", _point(potential, other), expected)


def _distances(potential: Potential, where: str, found: Point, expected: Point) -> Iterator[str]:
    pairs = {
        "energy, eV/atom": (np.array(found.energy), np.array(expected.energy)),
        "forces, eV/Å": (found.forces, expected.forces),
        "virial, eV": (found.virial, expected.virial),
    }
    for what, (here, there) in pairs.items():
        away = float(np.abs(here - there).max())
        # in single precision forces are as uncertain as energies in units of 0.1 Å
        allowed = _tolerance(potential, float(np.abs(there).max())) * (1 if what.startswith("energy") else 10)
        if away > allowed:
            yield f"{where}: {what}: off by {away:.2g}, more than {allowed:.2g}"


def _directions(along: np.ndarray) -> list[np.ndarray]:
    """The direction of the numbers themselves, if they are not nothing, and two random ones; of length 1."""
    random = np.random.default_rng(4)
    chosen = [along, *random.normal(size=(2, *along.shape))]
    return [one / np.linalg.norm(one) for one in chosen if np.linalg.norm(one) > 1e-6]


def _shifted(request: Request, direction: np.ndarray, step: float) -> Request:
    """Atoms moved along `direction` (n, 3) by `step` Å."""
    return dataclasses.replace(request, position=request.position + step * direction @ np.linalg.inv(request.lattice))


def _strained(request: Request, strain: np.ndarray, step: float) -> Request:
    return dataclasses.replace(request, lattice=request.lattice @ (np.eye(3) + step * strain))


def _slope(potential: Potential, moved: Callable[[float], Request]) -> float:
    """Derivative at 0 of the cell's energy in eV, by differences that are exact to fourth order."""
    requests = [moved(step * STEP) for step in (-2, -1, 1, 2)]
    energies = [point.energy * len(request.element) for request, point in zip(requests, _answers(potential, requests), strict=True)]  # noqa: E501  # fmt: skip
    return (energies[0] - 8 * energies[1] + 8 * energies[2] - energies[3]) / (12 * STEP)


def _slope_fault(
    potential: Potential, request: Request, what: str, given: float, slope: float, numbers: np.ndarray
) -> Iterator[str]:
    rounding = 3 * potential.noise * len(request.element) / STEP
    away, allowed = abs(given - slope), SLOPE * float(np.linalg.norm(numbers)) + rounding
    if away > allowed:
        yield f"{_name(request)}: {what}: {given:.5g}, and by differences of energies {slope:.5g}"
