"""Estimated training time of a denoiser on two CPU cores.  Standard library only."""

from __future__ import annotations

from symmcd.diffusion.model_settings import DenoiserSettings
from symmcd.extensions import Workload
from symmcd.settings import TrainingSettings

CPU_FLOPS = 1e11  # a generous guess of what two cores do in a second


def message_passing_days(
    model: DenoiserSettings, training: TrainingSettings, data: Workload, *, pair_features: int = 0
) -> float:
    """Days of messages between all pairs of orbits, in matrix products alone.

    Args:
        model, training: width, layers, epochs.
        data: training set.
        pair_features: numbers that a message is told of its pair, beside its sender.
    """
    per_layer = data.pairs * (pair_features + model.width) * model.width + data.orbits * 5 * model.width**2
    # forward and backward, two operations each
    return 6 * model.layers * per_layer * training.epochs / CPU_FLOPS / 86_400
