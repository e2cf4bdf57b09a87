"""``--density 4-6``, ``--volume-per-atom 10-15``: exact bounds of the volume; ``--cell-of file.cif``: a given cell.

At every reverse step the model's estimate of the finished cell is moved into the bounds, so the rest of the geometry
comes to agree with it, and the finished cell lies within them.  Drafts of elements that would not have such a volume
are made less frequent: by the share of cells of their crystal family and composition that lie within the bounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

from symmcd.diffusion.constraints.constraint import Constraint
from symmcd.diffusion.constraints.ranges import real_range, words_of
from symmcd.errors import InputError
from symmcd.extensions import ConstraintKind

if TYPE_CHECKING:
    from torch import Tensor

    from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
    from symmcd.diffusion.abilities import Abilities
    from symmcd.diffusion.constraints.known_geometry import KnownGeometry
    from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences

NEAR = 0.1  # relative deviation of a given cell from the volume that its contents would have
DALTON = 1.66053906660  # g/cm³ of 1 Da/Å³
LEAST_WIDTH = 1e-4  # relative width of a range: single precision and rounded files must not leave it


@dataclass(frozen=True)
class Volume(Constraint):
    """A range of volumes per atom, or of densities."""

    low: float
    high: float
    by_mass: bool = False  # densities, g/cm³; else Å³ per atom

    @classmethod
    def per_atom(cls, value: str | Sequence[float]) -> Volume:
        """Read from a range in Å³ per atom."""
        return cls(*_wide(real_range(value, "Å³", "10-15"), value))

    @classmethod
    def density(cls, value: str | Sequence[float]) -> Volume:
        """Read from a range in g/cm³."""
        return cls(*_wide(real_range(value, "g/cm³", "4-6.5"), value), by_mass=True)

    def check(self, abilities: Abilities, beside: Sequence[Constraint]) -> None:  # noqa: ARG002
        others = [other for other in beside if isinstance(other, Volume) and other.by_mass == self.by_mass]
        if any(max(self.low, other.low) >= min(self.high, other.high) for other in others):
            raise InputError(f"{self} and {others[0]}: no volume satisfies both")

    def volume(self, drawn: WyckoffSequences) -> tuple[Tensor, Tensor]:
        from symmcd.crystallography.elements import atomic_masses
        from symmcd.diffusion.staged.symmetry_tables import constant, symmetry_tables

        device = drawn.count.device
        atoms = symmetry_tables(device).multiplicity[drawn.wyckoff] * drawn.mask
        if not self.by_mass:
            total = atoms.sum(dim=1).double()
            return total * self.low, total * self.high
        mass = constant(atomic_masses(), device)[drawn.element].double()
        total = (mass * atoms).sum(dim=1) * DALTON
        return total / self.high, total / self.low if self.low else total * math.inf

    def __str__(self) -> str:
        words = words_of(self.low, self.high, least=0)
        return f"a density of {words} g/cm³" if self.by_mass else f"a volume of {words} Å³ per atom"


def _wide(ends: tuple[float, float], value: object) -> tuple[float, float]:
    low, high = ends
    if high < low * (1 + 10 * LEAST_WIDTH):
        raise InputError(
            f"{value!r:.40}: the range is too narrow; the second number must be at least 0.1 % above the first"
        )
    return low, high


@dataclass(frozen=True)
class CellOf(Constraint):
    """The space group and the cell of a crystal; what is in it is made."""

    space_group: int
    k: tuple[float, ...]  # (6) coefficients of the cell
    size: float  # Å³, of the conventional cell

    @classmethod
    def read(cls, value: str | PathLike[str] | AsymmetricUnit) -> CellOf:
        """Read from a file with one crystal, or an asymmetric unit."""
        import numpy as np

        from symmcd.crystallography.lattice import k_from_lattice
        from symmcd.diffusion.constraints.template import unit_of

        unit = unit_of(value)
        k = k_from_lattice(unit.lattice[None])[0]
        return cls(unit.space_group, tuple(k.tolist()), float(np.linalg.det(unit.lattice)))

    @property
    def space_groups(self) -> Sequence[int]:
        return (self.space_group,)

    def volume(self, drawn: WyckoffSequences) -> tuple[Tensor, Tensor]:
        """Near that of the cell, so that contents are drawn that fill it; the cell itself is then put in."""
        import torch

        size = torch.full((len(drawn),), self.size, dtype=torch.float64, device=drawn.count.device)
        return size * (1 - NEAR), size * (1 + NEAR)

    def known_geometry(self, drawn: WyckoffSequences) -> KnownGeometry:
        import torch

        from symmcd.diffusion.constraints.known_geometry import KnownGeometry

        device = drawn.count.device
        k = torch.tensor(self.k, dtype=torch.float64, device=device).expand(len(drawn), 6)
        none = torch.zeros(drawn.wyckoff.shape, dtype=torch.bool, device=device)
        return KnownGeometry(
            k,
            torch.ones(len(drawn), dtype=torch.bool, device=device),
            none[..., None].expand(*none.shape, 3).double(),
            none,
        )

    def check(self, abilities: Abilities, beside: Sequence[Constraint]) -> None:  # noqa: ARG002
        for other in beside:
            if type(other).volume is not Constraint.volume:
                raise InputError(f"{self}: leave out {other}")

    def __str__(self) -> str:
        return f"a given cell of space group {self.space_group} ({self.size:.1f} Å³)"


DENSITY = ConstraintKind("range of the density in g/cm³, such as 4-6.5", Volume.density, metavar="A-B")
CELL_OF = ConstraintKind(
    "space group and cell of the crystal in this file, with new atoms",
    CellOf.read,
    metavar="FILE",
    reads_file=True,
)
VOLUME_PER_ATOM = ConstraintKind(
    "range of the volume for each atom in Å³, such as 10-15", Volume.per_atom, metavar="A-B"
)
