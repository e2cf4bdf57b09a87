"""Magpie composition fingerprints (Ward et al. 2016) of many crystals at once, equal to matminer's, and their scale."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

PROPERTIES = (
    "Number", "MendeleevNumber", "AtomicWeight", "MeltingT", "Column", "Row", "CovalentRadius", "Electronegativity",
    "NsValence", "NpValence", "NdValence", "NfValence", "NValence", "NsUnfilled", "NpUnfilled", "NdUnfilled",
    "NfUnfilled", "NUnfilled", "GSvolume_pa", "GSbandgap", "GSmagmom", "SpaceGroupNumber",
)  # fmt: skip
STATISTICS = 6  # minimum, maximum, range, mean, average deviation, mode: for each property in turn
WIDTH = len(PROPERTIES) * STATISTICS


@functools.cache
def property_table() -> np.ndarray:
    """(119, 22) Magpie's value of each property by atomic number; nan where Magpie has none (all of them above 112)."""
    from matminer.utils.data import MagpieData
    from pymatgen.core import Element

    # not imputed, as in the program of CDVAE; what is missing becomes the mean after scaling
    data = MagpieData(impute_nan=False).all_elemental_props
    table = np.full((119, len(PROPERTIES)), np.nan)
    for number in range(1, 119):
        table[number] = [data[name][Element.from_Z(number).symbol] for name in PROPERTIES]
    return table


def in_tables(counts: np.ndarray) -> np.ndarray:
    """(B,) bool: Magpie's tables have every element of the crystal."""
    unknown = np.isnan(property_table()[:, 0])
    return np.logical_not((counts[:, unknown] > 0).any(axis=1))


def composition_fingerprints(counts: np.ndarray) -> np.ndarray:
    """(B, 132) Magpie fingerprints of matminer's ``ElementProperty.from_preset("magpie", impute_nan=False)``.

    Args:
        counts: (B, 119) atoms of each element; at least one atom per crystal.
    """
    table = property_table()
    vectors = np.empty((len(counts), len(PROPERTIES), STATISTICS))
    kinds = (counts > 0).sum(axis=1)
    for number in np.unique(kinds):  # crystals with equally many elements make one dense array
        rows = np.flatnonzero(kinds == number)
        crystal, element = np.nonzero(counts[rows])
        amount = counts[rows][crystal, element].reshape(len(rows), number).astype(float)
        share = (amount / amount.sum(axis=1, keepdims=True))[:, :, None]
        value = table[element].reshape(len(rows), number, -1)
        low, high, mean = value.min(axis=1), value.max(axis=1), (share * value).sum(axis=1)
        deviation = (share * np.abs(value - mean[:, None])).sum(axis=1)
        most = np.isclose(share, share.max(axis=1, keepdims=True))
        mode = np.where(most, value, np.inf).min(axis=1)
        vectors[rows] = np.stack([low, high, high - low, mean, deviation, mode], axis=2)
    return vectors.reshape(len(counts), WIDTH)


@dataclass(frozen=True)
class Scale:
    """Standardisation of fingerprints, fitted on a training set."""

    mean: np.ndarray  # (132,)
    deviation: np.ndarray  # (132,) 1 where the training set has one value only

    @classmethod
    def of(cls, fingerprints: np.ndarray) -> Scale:
        """Scale of the training set's fingerprints (B, 132); missing values are left out."""
        deviation = np.nanstd(fingerprints, axis=0)
        return cls(np.nanmean(fingerprints, axis=0), np.where(deviation > 0, deviation, 1.0))

    def apply(self, fingerprints: np.ndarray) -> np.ndarray:
        """Standardised fingerprints; a value that Magpie lacks becomes the training set's mean, 0."""
        return np.nan_to_num((fingerprints - self.mean) / self.deviation)
