"""Interface of potentials: requests of relaxation and hulls, and answers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Protocol, TypeVar

import numpy as np
from ase.data import chemical_symbols

from symmcd.crystallography.symmetric_cell import SymmetricCell
from symmcd.errors import SymmcdError

FLAT = 1e-3  # Å³, a cell below it has no three directions to compute with


class UnusableCrystalError(Exception):
    """A potential cannot be asked about a crystal; the message is the reason in a word, as in ``failed:<reason>``."""


class WrongAnswerError(SymmcdError):
    """A potential gave a malformed answer: a defect of its code, not a property of a crystal."""


@dataclass(frozen=True)
class Request:
    """A crystal to compute, at one geometry.

    `symmetry` says which atoms are equivalent, where the geometry has that symmetry by construction.  A potential may
    use it to compute less, and may ignore it.  `owner` is the same object from step to step of one relaxation:
    a potential may keep neighbour lists by it, weakly.
    """

    lattice: np.ndarray  # (3, 3) rows a, b, c in Å
    position: np.ndarray  # (n, 3) fractional, not wrapped from step to step
    element: np.ndarray  # (n,) atomic numbers
    symmetry: SymmetricCell | None = None
    owner: object | None = None

    @property
    def volume(self) -> float:
        """Volume of the cell in Å³."""
        return abs(float(np.linalg.det(self.lattice)))


@dataclass(frozen=True)
class Point:
    """Answer of a potential for one crystal at one geometry.

    The virial is dE/dε, with ε the strain that makes of cell rows a the rows a(1 + ε): stress times volume, positive
    under tension.  It is kept in place of the stress because minimisers need it, unrounded.
    Where a request has a symmetry, forces and virial may be right only along what keeps it.
    """

    energy: float  # eV/atom
    # Both are empty if only the energy was asked for.
    forces: np.ndarray = field(default_factory=lambda: np.empty((0, 3)))  # (n, 3) eV/Å
    virial: np.ndarray = field(default_factory=lambda: np.empty((0, 3)))  # (3, 3) eV of the cell, symmetric

    @classmethod
    def of_stress(cls, request: Request, energy: float, forces: np.ndarray, stress: np.ndarray) -> Point:
        """A point whose stress (3, 3) is given in eV/Å³, as most libraries do; energy in eV/atom, forces in eV/Å."""
        return cls(energy, forces, stress * request.volume)


class Potential(ABC):
    """Energies, forces and stresses of crystals.

    One method is needed, `evaluate`.  Every potential must pass `symmcd.potentials.validation.check`.
    """

    elements: frozenset[int]  # atomic numbers that it can be asked about
    noise: float = 2e-6  # eV/atom, rounding of its energies; that of single precision
    batch_size: int = 16  # crystals that relax at once, as best for its device
    batch_cost: float = math.inf  # largest cost of one call, a bound of its memory
    # eV of an atom alone, by atomic number, where its energies count from another zero than the Materials Project's
    # PBE(+U); taken off where an energy is looked at for sense (`symmcd.stability.outcome`)
    zeros: Mapping[int, float] = MappingProxyType({})

    @abstractmethod
    def evaluate(self, requests: Sequence[Request], *, forces: bool = True) -> Sequence[Point | UnusableCrystalError]:
        """One answer for each request: its point, or the reason for its failure.  No failure stops the others.

        Args:
            requests: crystals, any number of atoms each.
            forces: whether forces and virial are wanted beside the energy.
        """

    def cost(self, request: Request) -> int:
        """Cost of computing a crystal in time and memory, in any unit; here its atoms.

        Raises:
            UnusableCrystalError: it cannot be computed.
        """
        return len(request.element)

    def zero(self, element: np.ndarray) -> float:
        """Mean of `zeros` over atoms (n,) of these atomic numbers, eV/atom."""
        return sum(self.zeros.get(z, 0.0) for z in element.tolist()) / len(element)


def answers(
    potential: Potential, requests: Sequence[Request], *, forces: bool = True
) -> list[Point | UnusableCrystalError | WrongAnswerError]:
    """Ask a potential, and check its answers.

    A point that has undefined or infinite numbers comes back as the reason ``nan_energy`` or ``nan_forces``.

    Raises:
        WrongAnswerError: there are not as many answers as requests.
        Exception: that the potential raised.
    """
    who = f"the potential {type(potential).__module__}.{type(potential).__qualname__}"
    given = list(potential.evaluate(requests) if forces else potential.evaluate(requests, forces=False))
    if len(given) != len(requests):
        raise WrongAnswerError(f"{who} gave {len(given)} answers to {len(requests)} requests; fix it")
    return [_held(who, *pair, forces=forces) for pair in zip(requests, given, strict=True)]


def _held(
    who: str, request: Request, answer: object, *, forces: bool
) -> Point | UnusableCrystalError | WrongAnswerError:
    if isinstance(answer, UnusableCrystalError):
        return answer
    if not isinstance(answer, Point):
        return WrongAnswerError(
            f"{who} answered with {type(answer).__name__}, expected Point or UnusableCrystalError; fix it"
        )
    if np.shape(answer.energy):
        return WrongAnswerError(f"{who} gave an array as an energy, expected a number; fix it")
    if not math.isfinite(answer.energy):
        return UnusableCrystalError("nan_energy")
    if forces:
        if (np.shape(answer.forces), np.shape(answer.virial)) != ((len(request.element), 3), (3, 3)):
            return WrongAnswerError(
                f"{who} gave arrays of a shape other than (atoms, 3) for forces and (3, 3) for the virial; fix it"
            )
        if not (np.isfinite(answer.forces).all() and np.isfinite(answer.virial).all()):
            return UnusableCrystalError("nan_forces")
    # a number of NumPy's or torch's cannot be written to a journal
    return answer if type(answer.energy) is float else replace(answer, energy=float(answer.energy))


Item = TypeVar("Item")


def calls(items: Iterable[Item], cost: Callable[[Item], float], most: float) -> Iterator[list[Item]]:
    """Runs of items that together cost `most` at most, as a potential's `batch_cost`; one alone where it costs more."""
    group: list[Item] = []
    total = 0.0
    for item in items:
        own = cost(item)
        if group and total + own > most:
            yield group
            group, total = [], 0.0
        group.append(item)
        total += own
    if group:
        yield group


class Watcher(Protocol):
    """Told of every geometry that a potential's own optimiser computes; either method may raise to end the run."""

    def before(self, request: Request) -> None:
        """Look at a geometry that is to be computed."""

    def after(self, request: Request, point: Point) -> None:
        """Take a point that was computed."""


OwnOptimiser = Callable[[Potential, Request, int, float, Watcher], float]
"""(potential, start, steps at most, fmax in eV/Å, watcher) → largest force at the end, on atoms and cell."""


def check_geometry(request: Request) -> None:
    """Refuse numbers that are none, and flat cells.

    Raises:
        UnusableCrystalError: not_finite or flat_cell.
    """
    if not (np.isfinite(request.lattice).all() and np.isfinite(request.position).all()):
        raise UnusableCrystalError("not_finite")
    if request.volume < FLAT:
        raise UnusableCrystalError("flat_cell")


def check_elements(element: np.ndarray, known: frozenset[int]) -> None:
    """Refuse elements that a potential was not trained on.

    Raises:
        UnusableCrystalError: unknown_element:Po, joined by +.
    """
    unknown = sorted({chemical_symbols[z] for z in np.asarray(element).tolist() if z not in known})
    if unknown:
        raise UnusableCrystalError("unknown_element:" + "+".join(unknown))
