"""Settings that the networks of a diffusion have in common.  Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from symmcd.errors import InputError
from symmcd.settings import Features, Layers, ModelSettings, Positive, Steps, Width


@dataclass(frozen=True)
class DenoiserSettings(ModelSettings):
    """A denoiser and the noise that it removes."""

    width: Width = 256
    layers: Layers = 6
    time_features: Features = 10
    steps: Steps = 1000  # T
    sigma_min: Positive = 0.005  # wrapped normal, fractional
    sigma_max: Positive = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.time_features % 2:
            raise InputError(
                f"model.time_features = {self.time_features}: must be an even number, half sines and half cosines"
            )
        if not self.sigma_min < self.sigma_max:
            raise InputError(
                f"model.sigma_min = {self.sigma_min} must lie between 0 and model.sigma_max = {self.sigma_max}"
            )
