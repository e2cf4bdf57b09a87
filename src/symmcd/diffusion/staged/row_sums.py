"""Sums of rows that belong to the same orbit, pair or crystal, in a fixed order on every device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class RowSums:
    """Adds up the rows with each index.

    A GPU's ``index_add`` adds by atomics, in no fixed order, and two hundred steps of sampling make another crystal of
    a last digit.  Rows here are sorted by their index, so that each sum is that of a segment, which a GPU adds from its
    first row to its last, as a CPU does.  Training, which asks for gradients, takes ``index_add``.
    """

    index: Tensor  # (R,) ascending
    size: int  # rows of the result: indices are 0 … size - 1
    offsets: Tensor | None  # (size + 1,) first row of each index, and R; None: `index_add`

    @classmethod
    def of(cls, index: Tensor, size: int) -> RowSums:
        """Sums over rows with these indices."""
        if not index.is_cuda or torch.is_grad_enabled():
            return cls(index, size, None)
        return cls.by_segments(index, size)

    @classmethod
    def by_segments(cls, index: Tensor, size: int) -> RowSums:
        """The same where the order of additions matters."""
        return cls(index, size, torch.searchsorted(index, torch.arange(size + 1, device=index.device)))

    def of_rows(self, values: Tensor, onto: Tensor | None = None) -> Tensor:
        """(size, …) sums of `values` (R, …), added to `onto` (size, …)."""
        if self.offsets is None:
            if onto is not None:
                return onto.index_add(0, self.index, values)
            return values.new_zeros(self.size, *values.shape[1:]).index_add_(0, self.index, values)
        rows = values.float().contiguous()
        sums = torch.segment_reduce(rows, "sum", offsets=self.offsets, axis=0, unsafe=True).to(values.dtype)
        return sums if onto is None else onto + sums
