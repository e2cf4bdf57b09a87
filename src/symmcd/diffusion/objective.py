"""Objective of a training: a network and its loss on a data set that stays on the device."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

VALIDATION_SEED = 20_260_101  # the same noise in every epoch and every training, so that validation losses compare


class Objective(Protocol):
    """Losses of a network on training and validation crystals."""

    precision: torch.dtype  # precision of matrix products

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the losses; "total" is the last."""

    @property
    def network(self) -> nn.Module:
        """The network with its first weights."""

    @property
    def crystals(self) -> int:
        """Training crystals."""

    def losses(
        self, network: nn.Module, rows: Tensor, seed: int, *, backward: bool, share: Tensor | None = None
    ) -> dict[str, float]:
        """Mean losses of the training crystals `rows`; gradients of the total are added to the network if asked.

        With `share`, indices into `rows`, only what these crystals add to them: shares add up to the whole.
        """

    def validation_losses(self, network: nn.Module, batch_size: int) -> dict[str, float]:
        """Losses on all validation crystals, with noise that never changes."""

    def inputs(self, rows: Tensor, seed: int) -> dict[str, Tensor]:
        """Input of the network for `rows`, to be saved when it breaks."""
