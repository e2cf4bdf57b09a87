"""Scale of k: the volume that a composition should have, and mean and standard deviation of the remainder.

Composition and number of atoms explain five sixths of the spread of log(volume)/3 in MP-20 (0.24 to 0.04).  So the size
of a cell hardly has to be learnt from noise, and densities are right.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from symmcd.crystallography.space_group import FAMILIES
from symmcd.diffusion.data_statistics import ELEMENTS, UNSEEN_STD
from symmcd.diffusion.staged.flat_crystals import FlatCrystals
from symmcd.diffusion.staged.symmetry_tables import symmetry_tables

RIDGE = 0.5  # pulls elements with few crystals towards the mean volume of all
LEAST_STD = 0.02
SIZE = 5  # the coefficient of k that scales the whole cell: volume = exp(3 k[5])


@dataclass(frozen=True, eq=False)
class LatticeScale:
    """k ↔ z, of about zero mean and unit spread within each crystal family."""

    log_volume: Tensor  # (119,) log of the volume an atom of each element takes, Å³, relative to `mean_log_volume`
    mean_log_volume: Tensor  # ()
    mean: Tensor  # (6, 6) of k, its size relative to `size`, by crystal family
    std: Tensor  # (6, 6)

    @classmethod
    def of(cls, crystals: FlatCrystals) -> LatticeScale:
        """Least squares with a ridge for the volumes, then moments of the remainder."""
        tables = symmetry_tables(crystals.k.device)
        atoms = crystals.atoms
        fraction = torch.zeros(len(crystals), ELEMENTS + 1, device=atoms.device)
        share = tables.multiplicity[crystals.wyckoff] / atoms[crystals.crystal]
        fraction.index_put_((crystals.crystal, crystals.element), share, accumulate=True)
        target = 3 * crystals.k[:, SIZE] - atoms.log()
        mean_log_volume = target.mean()
        normal = fraction.T @ fraction + RIDGE * torch.eye(ELEMENTS + 1, device=atoms.device)
        log_volume = torch.linalg.solve(normal, fraction.T @ (target - mean_log_volume))
        mean = torch.zeros(len(FAMILIES), 6, device=atoms.device)
        scale = cls(log_volume, mean_log_volume, mean, torch.ones_like(mean))
        left = crystals.k.clone()
        left[:, SIZE] -= scale.size(crystals)
        family = tables.family[crystals.space_group - 1]
        std = torch.ones_like(mean)
        free = tables.lattice_free[crystals.space_group - 1]
        for index in range(len(FAMILIES)):
            of_family = left[family == index]
            if len(of_family):
                mean[index] = of_family.mean(dim=0)
                std[index] = of_family.std(dim=0, correction=0).clamp_min(LEAST_STD)
                continue
            for column in range(6):  # a family without crystals: as all others together
                of_others = left[free[:, column], column]
                if len(of_others):
                    mean[index, column], std[index, column] = of_others.mean(), of_others.std(correction=0)
                else:
                    std[index, column] = UNSEEN_STD
            std[index].clamp_min_(LEAST_STD)
        return cls(log_volume, mean_log_volume, mean, std)

    def to(self, device: torch.device | str) -> LatticeScale:
        """The same on `device`."""
        return LatticeScale(**{name: value.to(device) for name, value in vars(self).items()})

    def size(self, crystals: FlatCrystals) -> Tensor:
        """(B,) log(volume)/3 that composition and number of atoms suggest."""
        multiplicity = symmetry_tables(crystals.k.device).multiplicity[crystals.wyckoff]
        atoms = crystals.atoms
        summed = crystals.sums.of_rows(self.log_volume[crystals.element] * multiplicity)
        return (summed / atoms + self.mean_log_volume + atoms.log()) / 3

    def standardise(self, crystals: FlatCrystals) -> Tensor:
        """z (B, 6) of the crystals' k, 0 where the space group fixes it."""
        tables = symmetry_tables(crystals.k.device)
        family = tables.family[crystals.space_group - 1]
        left = crystals.k.clone()
        left[:, SIZE] -= self.size(crystals)
        z = (left - self.mean[family]) / self.std[family]
        return torch.where(tables.lattice_free[crystals.space_group - 1], z, 0.0)

    def unstandardise(self, z: Tensor, crystals: FlatCrystals) -> Tensor:
        """k (B, 6) of z, with the coefficients that the space groups fix put in."""
        tables = symmetry_tables(z.device)
        family = tables.family[crystals.space_group - 1]
        k = z * self.std[family] + self.mean[family]
        k[:, SIZE] += self.size(crystals)
        group = crystals.space_group - 1
        return torch.where(tables.lattice_free[group], k, tables.lattice_fixed[group])
