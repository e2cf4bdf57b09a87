"""Features of a crystal before it has a geometry, as numbers with names: the input of a stability model.

Composition, symmetry, counts, the hull at the composition and the likelihood of the Wyckoff network.  None depends on
the order of the orbits or on the choice of origin and axes, but for the log-probability of the network, which finds
some descriptions of a crystal likelier than others.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from symmcd.crystallography import content
from symmcd.crystallography.composition import NUMBERS
from symmcd.crystallography.flat_orbits import FlatOrbits
from symmcd.crystallography.lattice import free_coefficients
from symmcd.crystallography.space_group import lattice_points
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.stability.hull import ConvexHull, MissingReferenceError
from symmcd.stability_model.elements import PROPERTIES, element_properties

STATISTICS = ("mean", "min", "max", "deviation")  # over the atoms; the last is the mean absolute deviation
CLASSES: Mapping[str, str] = {  # classes of elements; the share of each among the atoms is a feature
    "hydrogen": "H",
    "oxygen": "O",
    "halogens": "F Cl Br I",
    "chalcogens": "S Se Te",
    "pnictogens": "N P As Sb Bi",
    "alkali_metals": "Li Na K Rb Cs",
    "alkaline_earths": "Be Mg Ca Sr Ba",
    "lanthanides": "La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu",
    "actinides": "Ac Th Pa U Np Pu",
    "transition_metals": "Sc Ti V Cr Mn Fe Co Ni Cu Zn Y Zr Nb Mo Tc Ru Rh Pd Ag Cd Hf Ta W Re Os Ir Pt Au Hg",
}
COMPOSITION = (
    *(f"{name}_{statistic}" for name in PROPERTIES for statistic in STATISTICS),
    *(f"share_of_{name}" for name in CLASSES),
    "elements",  # how many different ones
    "entropy",  # - sum of x ln x over the shares of the elements
    "largest_share",  # largest share of one element among the atoms
)
SYMMETRY = (
    "space_group",
    "crystal_system",  # 1 triclinic … 7 cubic
    "point_group_order",
    "lattice_points",  # number per conventional cell: 1, 2, 3 or 4
    "orbits",
    "atoms",  # number in the primitive cell
    "largest_orbit",  # atoms of the primitive cell
    "positions",  # different Wyckoff positions that are occupied
    "free_coordinates",  # that symmetry leaves the atoms
    "free_lattice",  # likewise the lattice, 1 to 6
    "fixed_share",  # share of the atoms on positions without free coordinates
    "general_share",  # share of the atoms on the general position
    "site_order_anion",  # log2 of the order of the site symmetry, mean over atoms of the most electronegative element
    "site_order_cation",  # the same of the least electronegative
)
HULL = (
    "hull_energy",  # eV/atom, formation energy of the hull at the composition
    "hull_phases",  # that the composition falls apart into there; 1 where it is a known one
    "hull_entries",  # compounds in the chemical system
)
LIKELIHOOD = ("log_probability", "log_probability_per_orbit")  # natural logarithm, of the model that drew the crystal
FEATURES = (*COMPOSITION, *SYMMETRY, *HULL, *LIKELIHOOD)
_LAST_OF_SYSTEM = (2, 15, 74, 142, 167, 194, 230)


def features(crystals: FlatOrbits, log_probability: np.ndarray, hull: ConvexHull) -> np.ndarray:
    """`FEATURES` of each crystal.

    Args:
        crystals: B of them, with or without a geometry, which is not looked at.
        log_probability: (B,) natural logarithm, as `Drafts.log_probability` has it.
        hull: whose formation energies are looked up; half a millisecond each.

    Returns:
        (B, F) float64; nan where there is no value, as of an electronegativity of argon, or of a hull without the
        elements.
    """
    if not len(crystals):
        return np.zeros((0, len(FEATURES)))
    counts = content.amounts(crystals)
    orbits = np.diff(crystals.start)
    likelihood = np.stack([log_probability, log_probability / np.maximum(orbits, 1)], axis=1)
    parts = [composition_features(counts), symmetry_features(crystals, counts), hull_features(counts, hull), likelihood]
    return np.concatenate(parts, axis=1).astype(float)


def composition_features(counts: np.ndarray) -> np.ndarray:
    """(B, len(COMPOSITION)) of atoms of each element, (B, 119)."""
    share, present, table = counts / counts.sum(axis=1, keepdims=True), counts > 0, element_properties()
    columns = []
    for values in table.T:
        known = np.nan_to_num(values)
        mean = share @ known
        low = np.where(present, known, np.inf).min(axis=1)
        high = np.where(present, known, -np.inf).max(axis=1)
        deviation = (share * np.abs(known - mean[:, None])).sum(axis=1)
        missing = (present & np.isnan(values)).any(axis=1)
        columns += [np.where(missing, np.nan, column) for column in (mean, low, high, deviation)]
    columns += [share[:, [NUMBERS[symbol] for symbol in of.split()]].sum(axis=1) for of in CLASSES.values()]
    entropy = -(share * np.log(np.where(present, share, 1.0))).sum(axis=1)
    return np.stack([*columns, present.sum(axis=1), entropy, share.max(axis=1)], axis=1)


def symmetry_features(crystals: FlatOrbits, counts: np.ndarray) -> np.ndarray:
    """(B, len(SYMMETRY)); `counts` (B, 119) are atoms of each element in the conventional cell."""
    table, group, start = wyckoff_table(), crystals.space_group, crystals.start[:-1]
    multiplicity, freedom = table.multiplicity[crystals.wyckoff], table.degrees_of_freedom[crystals.wyckoff]
    general = table.multiplicity[table.start[group] - 1]  # the general position is the last of a group
    points, atoms = _lattice_points()[group - 1], counts.sum(axis=1)
    order = np.log2(general[crystals.crystal] / multiplicity)  # order of the site symmetry
    electronegativity = element_properties()[:, PROPERTIES.index("electronegativity")]
    ends = [
        np.where(counts > 0, np.nan_to_num(sign * electronegativity, nan=-np.inf), -np.inf).argmax(axis=1)
        for sign in (1, -1)
    ]
    of_ends = [
        np.add.reduceat(multiplicity * order * (crystals.element == end[crystals.crystal]), start)
        / counts[np.arange(len(end)), end].clip(min=1)
        for end in ends
    ]
    positions = np.add.reduceat(_first_of_position(crystals), start)
    columns = [
        group, np.searchsorted(_LAST_OF_SYSTEM, group) + 1, general / points, points, np.diff(crystals.start),
        atoms / points, np.maximum.reduceat(multiplicity, start) / points, positions, np.add.reduceat(freedom, start),
        free_coefficients()[group - 1].sum(axis=1), np.add.reduceat(multiplicity * (freedom == 0), start) / atoms,
        np.add.reduceat(multiplicity * (multiplicity == general[crystals.crystal]), start) / atoms, *of_ends,
    ]  # fmt: skip
    return np.stack(columns, axis=1)


def hull_features(counts: np.ndarray, hull: ConvexHull) -> np.ndarray:
    """(B, 3) of atoms of each element, (B, 119)."""
    found = np.full((len(counts), len(HULL)), np.nan)
    found[:, 2] = entries_in(counts, hull)
    for row, composition in zip(found, _compositions(counts), strict=True):
        try:
            point = hull.at(composition)
        except MissingReferenceError:
            continue
        row[:2] = point.formation_energy_per_atom, point.decomposition.count(" + ") + 1
    return found


def entries_in(counts: np.ndarray, hull: ConvexHull) -> np.ndarray:
    """(B,) entries that the hull has in the chemical system of each of B crystals; `counts` (B, 119) as above."""
    return np.array([hull.entries_in(composition) for composition in _compositions(counts)], int)


def _compositions(counts: np.ndarray) -> list[dict[int, int]]:
    """Atoms of each crystal by atomic number."""
    return [{z: int(row[z]) for z in np.flatnonzero(row).tolist()} for row in counts]


def _first_of_position(crystals: FlatOrbits) -> np.ndarray:
    """(A,) 1 for one orbit of each Wyckoff position of a crystal, 0 for the others on it."""
    first = np.zeros(len(crystals.wyckoff), int)
    _, index = np.unique(crystals.crystal * len(wyckoff_table().letter) + crystals.wyckoff, return_index=True)
    first[index] = 1
    return first


@functools.cache
def _lattice_points() -> np.ndarray:
    return np.array([lattice_points(group) for group in range(1, 231)])
