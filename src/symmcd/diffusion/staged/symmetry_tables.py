"""The tables of Wyckoff positions and space groups as tensors, on the device where they are used."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from symmcd.crystallography.lattice import BASIS, fixed_coefficients, free_coefficients
from symmcd.crystallography.space_group import family_index, lattice_points, space_group_codes
from symmcd.crystallography.wyckoff import wyckoff_table


@dataclass(frozen=True, eq=False)
class SymmetryTables:
    """P = 1,731 Wyckoff positions, O = 14,433 operations that make their orbits, 230 space groups."""

    widest: int  # positions of the group with most, 27
    group_start: Tensor  # (231,) positions of group g are group_start[g-1]:group_start[g]
    multiplicity: Tensor  # (P,) int64
    degrees_of_freedom: Tensor  # (P,) int64
    site_symmetry: Tensor  # (P, 15) int64
    linear: Tensor  # (P, 3, 3) T of the generator form x = T u + c
    constant: Tensor  # (P, 3) c
    free: Tensor  # (P, 3) bool: coordinates u that the position leaves free
    operation_start: Tensor  # (P + 1,)
    rotation: Tensor  # (O, 3, 3)
    translation: Tensor  # (O, 3)
    codes: Tensor  # (230, 397) space-group codes
    family: Tensor  # (230,) index of the crystal family
    lattice_points: Tensor  # (230,) primitive cells in the conventional one
    lattice_free: Tensor  # (230, 6) bool
    lattice_fixed: Tensor  # (230, 6) value of each coefficient of k that is not free
    basis: Tensor  # (6, 3, 3) of the symmetric matrices that k stands for

    def positions(self, u: Tensor, wyckoff: Tensor) -> Tensor:
        """Fractional coordinates (A, 3) of representatives with free coordinates u (A, 3)."""
        return (self.linear[wyckoff] @ u[:, :, None])[..., 0] + self.constant[wyckoff]

    def free_coordinates(self, position: Tensor, wyckoff: Tensor) -> Tensor:
        """u (A, 3) in [0, 1) of positions in generator form, 0 where a coordinate is not free.

        T is the identity on the free coordinates, so u = x - c there.  T is a matrix of whole numbers: u and u + 1
        are the same point of the crystal, and u lives on a torus.
        """
        return torch.where(self.free[wyckoff], (position - self.constant[wyckoff]) % 1.0, 0.0)


@functools.cache
def constant(values: tuple[float, ...], device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """`values` on `device`, copied once: each copy makes a GPU wait."""
    with torch.inference_mode(mode=False):
        return torch.tensor(values, dtype=dtype, device=device)


@functools.cache
def symmetry_tables(device: torch.device | str = "cpu") -> SymmetryTables:
    """The tables on `device`, made on first use."""
    t = wyckoff_table()

    def real(values: object) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=device)

    def whole(values: object) -> Tensor:
        return torch.tensor(values, dtype=torch.int64, device=device)

    with torch.inference_mode(mode=False):  # or who samples first could not train afterwards
        return SymmetryTables(
            widest=int((t.start[1:] - t.start[:-1]).max()),
            group_start=whole(t.start),
            multiplicity=whole(t.multiplicity),
            degrees_of_freedom=whole(t.degrees_of_freedom),
            site_symmetry=whole(t.site_symmetry),
            linear=real(t.generator[:, :, :3]),
            constant=real(t.generator[:, :, 3]),
            free=real(t.generator[:, :, :3]).abs().sum(dim=1) > 0,
            operation_start=whole(t.operation_start),
            rotation=real(t.operations[:, :, :3]),
            translation=real(t.operations[:, :, 3]),
            codes=real(space_group_codes()),
            family=whole([family_index(number) for number in range(1, 231)]),
            lattice_points=whole([lattice_points(number) for number in range(1, 231)]),
            lattice_free=torch.tensor(free_coefficients().copy(), device=device),
            lattice_fixed=real(fixed_coefficients()),
            basis=real(BASIS),
        )
