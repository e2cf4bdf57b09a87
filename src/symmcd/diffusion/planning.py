"""Plan of batches: space group and number of orbits of each crystal, and the crystals that are made together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Integral
from typing import cast

import numpy as np
import torch
from torch import Tensor

from symmcd.diffusion.data_statistics import DataStatistics
from symmcd.diffusion.draws import Draw
from symmcd.diffusion.model import Plan
from symmcd.diffusion.prior import draw_groups_and_orbits
from symmcd.diffusion.random_streams import CrystalStreams
from symmcd.errors import InputError

PAD_TO = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20)  # orbits; beyond the last, multiples of 8


def padded_to(orbits: np.ndarray) -> np.ndarray:
    """(B,) numbers of orbits that crystals of so many are padded to; each depends on its own alone."""
    return np.array([next((p for p in PAD_TO if p >= m), -(-m // 8) * 8) for m in orbits.tolist()], dtype=int)


def batches_by_size(padded: np.ndarray, batch_size: int, *, apart: bool = False) -> Iterator[np.ndarray]:
    """Indices of the crystals of each batch, small crystals first; of one padded size each where they are `apart`."""
    order = np.argsort(padded, kind="stable")
    sizes = np.unique(padded)[1:] if apart else ()
    for rows in np.split(order, np.searchsorted(padded[order], sizes)):
        for first in range(0, len(rows), batch_size):
            yield rows[first : first + batch_size]


def plans(
    statistics: DataStatistics,
    number: np.ndarray,
    batch_size: int,
    seed: int,
    space_groups: Sequence[int] = (),
    *,
    apart: bool = False,
    possible: Tensor | None = None,
) -> Iterator[Plan]:
    """Space group and number of orbits of the crystals `number` (B,), put into batches (see `batches_by_size`).

    `possible` (230, M + 1), on the CPU, says which of these there may be; None: all.
    """
    uniform = CrystalStreams(seed, torch.as_tensor(number, dtype=torch.int64)).uniform(Draw.PLAN, (2,))
    group, orbits = (a.numpy() for a in draw_groups_and_orbits(statistics.to("cpu"), uniform, space_groups, possible))
    padded = padded_to(orbits)
    for part in batches_by_size(padded, batch_size, apart=apart):
        yield Plan(number[part], group[part], orbits[part], padded[part])


def check_whole(**numbers: int) -> None:
    """Raise InputError where one of `numbers`, by its name, is no whole number of 1 or more."""
    for name, value in numbers.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or int(value) < 1:
            raise InputError(f"{name} = {value!r}: expected a whole number, at least 1")


def numbers_of(number: int | Sequence[int] | np.ndarray) -> np.ndarray:
    """Numbers of drafts, ascending: the first `number`, or those given.

    Raises:
        InputError: no whole numbers, one below 0, or one that is given twice.
    """
    if isinstance(number, Integral) or not isinstance(number, Sequence | np.ndarray) or isinstance(number, str):
        check_whole(number=cast("int", number))
        return np.arange(int(cast("int", number)))
    numbers = np.unique(np.asarray(number))
    repeated = len(numbers) != len(number)
    if numbers.dtype.kind not in "iu" or np.ndim(number) != 1 or repeated or (numbers < 0).any():
        raise InputError(f"number = {number!r:.60}: expected a count, or different whole numbers, 0 or more")
    return numbers.astype(np.int64)
