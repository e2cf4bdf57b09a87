"""Our model: Wyckoff positions and elements first, then a geometry for them (docs/model-study.md)."""

from __future__ import annotations

from dataclasses import dataclass

from symmcd.diffusion.cpu_time import message_passing_days
from symmcd.diffusion.model_settings import DenoiserSettings
from symmcd.errors import InputError
from symmcd.extensions import ABILITIES, ModelKind, Part, Workload
from symmcd.settings import BelowOne, Layers, TrainingSettings, Width

SURROUNDINGS = 4.0  # what is spent on distances to images and on the second network, over the matrix products


@dataclass(frozen=True)
class StagedSettings(DenoiserSettings):
    """Our model: a transformer for Wyckoff positions and elements, a denoiser for the geometry."""

    wyckoff_width: Width = 192  # width of the transformer for Wyckoff positions and elements
    wyckoff_layers: Layers = 6
    wyckoff_heads: Layers = 4
    dropout: BelowOne = 0.2  # dropout of the transformer

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.wyckoff_width % self.wyckoff_heads:
            raise InputError(
                f"model.wyckoff_width = {self.wyckoff_width}: must be a multiple "
                f"of .wyckoff_heads = {self.wyckoff_heads}"
            )


def cpu_days(model: StagedSettings, training: TrainingSettings, data: Workload) -> float:
    """Time of a training on two cores."""
    return SURROUNDINGS * message_passing_days(model, training, data)


STAGED = ModelKind(
    name="staged",
    sentence="ours: Wyckoff positions and elements one after the other, then a diffusion of the geometry",
    settings=StagedSettings,
    implementation="symmcd.diffusion.staged.model:StagedModel",
    can=frozenset(ABILITIES),
    default_steps=50,
    default_proposals=4,  # docs/model-study.md, as the steps
    parts=(
        Part(
            "wyckoff",
            epochs="wyckoff_epochs",
            independent_of={
                "model": ("width", "layers", "time_features", "steps", "sigma_min", "sigma_max"),
                "training": ("epochs", "loss_weights"),
            },
        ),
        Part(
            "geometry",
            independent_of={
                "model": ("wyckoff_width", "wyckoff_layers", "wyckoff_heads", "dropout"),
                "training": ("wyckoff_epochs", "calibration_rounds", "loss_weights"),
            },
        ),
    ),
    losses={
        "wyckoff": "Wyckoff positions, nats per crystal",
        "element": "elements, nats per crystal",
        "lattice": "squared error of the noise of the lattice, 1 for a network that knows nothing",
        "position": "squared error of the score of the coordinates, 1 for a network that knows nothing",
    },
    cpu_days=cpu_days,
)
