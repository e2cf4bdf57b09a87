"""Optimisation of a network: batches, AdamW, learning rate, and reasons to end before the last epoch."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from symmcd.diffusion.training_state import TrainingState


@dataclass(frozen=True)
class Optimisation:
    """Settings of the optimisation; those of `symmcd.settings.TrainingSettings` with the same names."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.0
    gradient_norm: float = 1.0  # clip by global norm
    ema_decay: float = 0.999
    warmup_steps: int = 100
    validate_every: int = 10  # epochs
    patience: int = 0  # epochs without a lower validation loss; 0: it does not end
    crystals_at_once: int = 0  # crystals of a batch processed at once; 0: all
    max_minutes: float = 0.0  # 0: no limit
    checkpoint_minutes: float = 2.0
    tensorboard: bool = False

    @classmethod
    def of(cls, settings: Any, epochs: int) -> Optimisation:
        """Those of a settings object that has all of these, for `epochs`."""
        names = (field.name for field in dataclasses.fields(cls))
        return cls(**{name: getattr(settings, name) for name in names} | {"epochs": epochs})


def schedule(settings: Optimisation, state: TrainingState, total_steps: int) -> float:
    """Factor of the learning rate: rises over the warm-up, then falls along half a cosine to 1 % at the end.

    The end is the last epoch, or `max_minutes` where that comes first.
    """
    warm = min(1.0, (state.step + 1) / max(settings.warmup_steps, 1))
    done = state.step / total_steps
    if settings.max_minutes:
        done = max(done, min(1.0, state.seconds / (60 * settings.max_minutes)))
    return warm * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


def is_out_of_time(settings: Optimisation, state: TrainingState) -> bool:
    """Return whether `max_minutes` have been spent in this training, including earlier runs of it."""
    return bool(settings.max_minutes) and state.seconds >= 60 * settings.max_minutes


def is_stale(settings: Optimisation, state: TrainingState) -> bool:
    """Return whether the validation loss has not fallen for `patience` epochs."""
    validated = next((row["epoch"] for row in reversed(state.rows) if "val_total" in row), 0)
    return bool(settings.patience and state.best_epoch) and validated - state.best_epoch >= settings.patience
