"""A few crystals with known symmetry, and the neighbours of an atom found the slow way."""

from __future__ import annotations

import itertools

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits


def cubic(a: float) -> np.ndarray:
    return a * np.eye(3)


def hexagonal(a: float, c: float) -> np.ndarray:
    return np.array([[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, c]])


def crystals() -> AsymmetricUnits:
    """NaCl, diamond, wurtzite, rutile, ZrO2, a triclinic one, quartz (chiral), Bi2Te2S (rhombohedral)."""
    monoclinic = np.array([[5.2, 0, 0], [0, 5.1, 0], [-0.9, 0, 5.3]])
    triclinic = np.array([[5.0, 0.1, 0.2], [1.2, 4.4, 0.1], [-0.7, 0.9, 6.1]])
    baddeleyite = [[0.28, 0.04, 0.21], [0.07, 0.33, 0.34], [0.45, 0.76, 0.48]]
    tetradymite = [[0, 0, 0.4], [0, 0, 0], [0, 0, 0.212]]
    units = [
        AsymmetricUnit(225, cubic(5.64), [11, 17], ("a", "b"), [[0, 0, 0], [0.5, 0.5, 0.5]]),
        AsymmetricUnit(227, cubic(3.57), [6], ("a",), [[0.125, 0.125, 0.125]]),
        AsymmetricUnit(186, hexagonal(3.25, 5.2), [30, 8], ("b", "b"), [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.382]]),
        AsymmetricUnit(136, np.diag([4.6, 4.6, 2.96]), [22, 8], ("a", "f"), [[0, 0, 0], [0.305, 0.305, 0]]),
        AsymmetricUnit(14, monoclinic, [40, 8, 8], ("e",) * 3, baddeleyite),
        AsymmetricUnit(1, triclinic, [25, 8, 16], ("a",) * 3, [[0, 0, 0], [0.4, 0.3, 0.6], [0.7, 0.55, 0.2]]),
        AsymmetricUnit(154, hexagonal(4.9, 5.4), [14, 8], ("a", "c"), [[0.47, 0, 2 / 3], [0.414, 0.268, 0.786]]),
        AsymmetricUnit(166, hexagonal(4.4, 30.5), [83, 16, 52], ("c", "a", "c"), tetradymite),
    ]  # fmt: skip
    return AsymmetricUnits.from_units(units)


def slow_neighbours(
    lattice: np.ndarray, centre: np.ndarray, atoms: np.ndarray, cutoff: float
) -> list[tuple[int, float]]:
    """Atom and distance of all images within the cutoff, over a generous block of cells."""
    found = []
    for index, atom in enumerate(atoms):
        for image in itertools.product(range(-5, 6), repeat=3):
            distance = float(np.linalg.norm((atom + image - centre) @ lattice))
            if 0.01 < distance < cutoff:
                found.append((index, distance))
    return found
