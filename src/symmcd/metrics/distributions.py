"""Density and number of elements of crystals, and Wasserstein distances between sets (paper, Table 2)."""

from __future__ import annotations

import numpy as np
from ase.data import atomic_masses
from scipy.stats import wasserstein_distance

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.lattice import lattice_from_k
from symmcd.crystallography.wyckoff import wyckoff_table

GRAMS_PER_DALTON_PER_CUBIC_ANGSTROM = 1.66053906660


def densities(units: AsymmetricUnits) -> np.ndarray:
    """(B,) g/cm³."""
    multiplicity = wyckoff_table().multiplicity[units.wyckoff]
    mass = np.add.reduceat(atomic_masses[units.element] * multiplicity, units.start[:-1])
    return mass / np.linalg.det(lattice_from_k(units.lattice)) * GRAMS_PER_DALTON_PER_CUBIC_ANGSTROM


def element_counts(units: AsymmetricUnits) -> np.ndarray:
    """(B,) different elements in each crystal."""
    pairs = np.unique(np.stack([units.crystal, units.element], axis=1), axis=0)
    return np.bincount(pairs[:, 0], minlength=len(units))


def wasserstein(generated: np.ndarray, reference: np.ndarray) -> float:
    """Wasserstein-1 distance, in the unit of the values; nan if either set is empty."""
    if not len(generated) or not len(reference):
        return float("nan")
    return float(wasserstein_distance(generated, reference))
