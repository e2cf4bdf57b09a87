"""Sampling in batches: crystals as they are finished, and how far the work has come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit


@dataclass(frozen=True, eq=False)
class Batch:
    """Crystals that were finished together."""

    number: np.ndarray  # (B,) which of those asked for, from 0
    units: list[AsymmetricUnit]
    log_probability: np.ndarray | None = None  # (B,) of the candidates of a composition


OnBatch = Callable[[Batch], None]
OnProgress = Callable[[int, tuple[float, float]], None]  # crystals done; work done, and all of it
"""Type of `Progress.update`."""


def ignored(*_: object) -> None:
    """Nobody wants to know."""


class Watch:
    """Tells `on_progress` how far batches have come, each step of them counted.

    The work of a batch is its pairs of orbits, which the denoiser looks at.
    """

    def __init__(self, orbits: Sequence[np.ndarray], steps: int, on_progress: OnProgress) -> None:
        self.sizes, self.steps, self.on_progress = [len(batch) for batch in orbits], steps, on_progress
        self.pairs = [float((batch.astype(float) ** 2).sum()) for batch in orbits]
        self.batch = 0

    def step(self, step: int) -> None:
        """Report that so many steps of the current batch are done."""
        done, pairs = sum(self.sizes[: self.batch]), sum(self.pairs[: self.batch])
        done += self.sizes[self.batch] * step // self.steps
        self.on_progress(done, (pairs + self.pairs[self.batch] * step / self.steps, sum(self.pairs)))

    def finished(self) -> None:
        """The batch under way is done."""
        self.step(self.steps)
        self.batch += 1
