"""One check of every potential, of those that ship and of those of other packages.

from symmcd.extensions import POTENTIALS
from symmcd.potentials.validation import check

check(POTENTIALS["mine"].load("cpu"))
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase.data import covalent_radii

from symmcd.potentials.laws import LAWS, Law, LawError
from symmcd.potentials.potential import Potential, Request

PREFERRED = (8, 22, 11, 17, 12, 13, 14, 26, 18, 6, 1)  # elements of the crystals that are computed, where it knows them


def check(potential: Potential, crystals: Sequence[Request] = ()) -> None:
    """Hold a potential against every law of `LAWS`.

    Args:
        potential: any.
        crystals: sound ones of a few atoms, off their ideal places; none = `crystals_of` its elements.

    Raises:
        LawError: it breaks one or several.
    """
    broken = faults(potential, crystals)
    if broken:
        raise LawError(f"{type(potential).__name__} breaks {len(broken)} laws:\n" + "\n".join(broken))


def faults(potential: Potential, crystals: Sequence[Request] = ()) -> list[str]:
    """Violations of the laws by a potential, one line each; see `check`."""
    crystals = list(crystals) or crystals_of(potential.elements)
    return [f"{name}: {fault}" for name, law in LAWS.items() for fault in _faults(law, potential, crystals)]


def crystals_of(elements: frozenset[int]) -> list[Request]:
    """Crystals of 1, 2, 4 and 6 atoms of one or two of these elements, at about the distances of covalent bonds."""
    chosen = [z for z in (*PREFERRED, *sorted(elements)) if z in elements]
    light, heavy = chosen[0], next((z for z in chosen if z != chosen[0]), chosen[0])
    bond = 1.1 * float(covalent_radii[light] + covalent_radii[heavy])  # Å
    random = np.random.default_rng(0)
    cells: list[tuple[np.ndarray, list[list[float]], list[int]]] = [
        (np.array([[1.2, 0, 0], [0.3, 1.25, 0], [0.2, -0.4, 1.3]]) * bond, [[0, 0, 0]], [heavy]),
        (np.eye(3) * 1.3 * bond, [[0, 0, 0], [0.5, 0.5, 0.5]], [heavy, light]),
        (
            np.array([[1.6, 0, 0], [0.2, 1.7, 0], [0.1, -0.3, 1.8]]) * bond,
            [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]], [heavy, heavy, light, light],
        ),
        (
            np.diag([2.3, 2.3, 1.5]) * bond,
            [[0, 0, 0], [0.5, 0.5, 0.5], [0.3, 0.3, 0], [0.7, 0.7, 0], [0.2, 0.8, 0.5], [0.8, 0.2, 0.5]],
            [heavy, heavy, light, light, light, light],
        ),
    ]  # fmt: skip
    return [
        Request(
            lattice,
            np.array(places) + random.normal(0, 0.06, (len(places), 3)) @ np.linalg.inv(lattice),
            np.array(numbers),
        )
        for lattice, places, numbers in cells
    ]


def _faults(law: Law, potential: Potential, crystals: Sequence[Request]) -> list[str]:
    """Faults of one law; the first answer that is none ends it."""
    faults = []
    try:
        for fault in law(potential, crystals):
            faults.append(fault)  # noqa: PERF402  (those before an error are kept)
    except LawError as error:
        faults.append(str(error))
    return faults
