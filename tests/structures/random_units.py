"""Asymmetric units with a crystal in every space group, for tests of what is written and read."""

from __future__ import annotations

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits, numbered_labels
from symmcd.crystallography.lattice import constrain
from symmcd.crystallography.space_group import operations
from symmcd.crystallography.wyckoff import wrap, wyckoff_table


def random_units(groups: list[int], seed: int = 0) -> AsymmetricUnits:
    """One crystal a group: its position ``a`` and its general one, away from special points; a cell of 12 to 15 Å."""
    table, random = wyckoff_table(), np.random.default_rng(seed)
    number = np.array(groups)
    rows = np.stack([table.start[number - 1], table.start[number] - 1], axis=1).ravel()
    point = np.stack([_generic_point(group, random) for group in number for _ in range(2)])
    generator = table.generator[rows]
    position = wrap((generator[:, :, :3] @ point[:, :, None])[..., 0] + generator[:, :, 3])
    k = random.normal(0, 0.05, (len(number), 6))
    k[:, 5] = np.log(random.uniform(12, 15, len(number)))
    return AsymmetricUnits(
        number, constrain(k, number), 2 * np.arange(len(number) + 1), np.tile([56, 8], len(number)), rows, position,
        np.array(numbered_labels(len(number))),
    )  # fmt: skip


def _generic_point(group: int, random: np.random.Generator) -> np.ndarray:
    """Of 30 points the one that the group's operations move farthest (its nearest image is farthest away)."""
    group_operations = operations(group)[1:]
    points = random.random((30, 3))
    shift = np.einsum("oij,nj->noi", group_operations[:, :, :3], points) + group_operations[:, :, 3] - points[:, None]
    shift -= np.rint(shift)
    return points[np.linalg.norm(shift, axis=2).min(axis=1, initial=1).argmax()]
