"""Statistics of the training data in a checkpoint: counts, marginals and the scale of k."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.lattice import free_coefficients
from symmcd.crystallography.site_symmetry import SYMBOLS
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.errors import InputError

ELEMENTS = 118
AXES, CLASSES = 15, len(SYMBOLS)
UNSEEN_STD = 0.1  # for a coefficient that no training crystal leaves free; as of MP-20's shear coefficients
BEYOND = 0.25  # sampled k may leave the range of the training set by this share of it


@dataclass(frozen=True, eq=False)
class DataStatistics:
    """Statistics of a training set of asymmetric units."""

    space_group_count: Tensor  # (230,) crystals of each group
    orbit_count: Tensor  # (230, M + 1) crystals of each group and number of orbits
    element_marginal: Tensor  # (118,) share of orbits (not of atoms) with each atomic number, from 1
    site_symmetry_marginal: Tensor  # (230, 15, 13) share of a group's orbits with each class, axis by axis
    lattice_mean: Tensor  # (6,) of k, over the crystals whose group leaves the coefficient free
    lattice_std: Tensor  # (6,)
    lattice_low: Tensor  # (6,) bounds of a sampled k
    lattice_high: Tensor  # (6,)

    def to(self, device: torch.device | str) -> DataStatistics:
        """The same on `device`."""
        return DataStatistics(**{name: value.to(device) for name, value in self.tensors().items()})

    def tensors(self) -> dict[str, Tensor]:
        """All fields by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @classmethod
    def of(cls, units: AsymmetricUnits) -> DataStatistics:
        """Statistics of `units`.

        The site-symmetry marginals of a group without training crystals are uniform over the classes that the group's
        Wyckoff positions have on each axis (the original falls back to all 13 classes, most of them impossible).

        Raises:
            InputError: no crystals, or an atomic number outside 1 … 118.
        """
        if not len(units):
            raise InputError("the training set has no crystals")
        if units.element.min() < 1 or units.element.max() > ELEMENTS:
            raise InputError(
                f"atomic numbers must be 1 to {ELEMENTS}, got {units.element.min()} and {units.element.max()}"
            )
        group, orbits = units.space_group - 1, np.diff(units.start)
        orbit_count = np.zeros((230, orbits.max() + 1))
        np.add.at(orbit_count, (group, orbits), 1)
        mean, std, low, high = _lattice_scale(units)
        return cls(
            space_group_count=torch.as_tensor(orbit_count.sum(axis=1), dtype=torch.float32),
            orbit_count=torch.as_tensor(orbit_count, dtype=torch.float32),
            element_marginal=_normalised(np.bincount(units.element - 1, minlength=ELEMENTS)),
            site_symmetry_marginal=_site_symmetry_marginal(units),
            lattice_mean=mean,
            lattice_std=std,
            lattice_low=low,
            lattice_high=high,
        )


def _normalised(count: np.ndarray) -> Tensor:
    return torch.as_tensor(count / count.sum(axis=-1, keepdims=True), dtype=torch.float32)


def _site_symmetry_marginal(units: AsymmetricUnits) -> Tensor:
    table = wyckoff_table()
    count = np.zeros((230, AXES, CLASSES))
    axis = np.arange(AXES)
    np.add.at(count, (units.space_group[units.crystal][:, None] - 1, axis, table.site_symmetry[units.wyckoff]), 1)
    allowed = np.zeros_like(count)
    allowed[table.space_group[:, None] - 1, axis, table.site_symmetry] = 1
    unseen = count.sum(axis=(1, 2)) == 0
    return _normalised(np.where(unseen[:, None, None], allowed, count))


def _lattice_scale(units: AsymmetricUnits) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean, standard deviation and bounds of each coefficient where it is free; guesses where it never is."""
    free = free_coefficients()[units.space_group - 1]
    rows = []
    for column in range(6):
        k = units.k[free[:, column], column]
        mean = k.mean() if len(k) else 0.0
        std = k.std() if len(k) > 1 and k.std() > 1e-3 else UNSEEN_STD  # one crystal, or crystals all alike
        low, high = (k.min(), k.max()) if len(k) > 1 else (mean - 2 * std, mean + 2 * std)
        margin = BEYOND * max(high - low, std)
        rows.append((mean, std, low - margin, high + margin))
    mean, std, low, high = torch.as_tensor(np.array(rows).T, dtype=torch.float32)
    return mean, std, low, high
