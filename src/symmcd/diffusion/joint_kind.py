"""The paper's model, in which everything diffuses together, and its rival of Table 4 without symmetry."""

from __future__ import annotations

from dataclasses import dataclass, replace

from symmcd.diffusion.cpu_time import message_passing_days
from symmcd.diffusion.model_settings import DenoiserSettings
from symmcd.extensions import ModelKind, Part, Workload
from symmcd.settings import Kind, TrainingSettings, Width


@dataclass(frozen=True)
class JointSettings(DenoiserSettings):
    """The paper's denoiser (its appendix E; config/paper.yaml)."""

    kind: Kind = "joint"
    frequencies: Width = 128  # Fourier features of coordinate differences
    standardise_lattice: bool = True  # diffuse (k - mean)/std of the training set; the paper diffuses k itself


def cpu_days(model: JointSettings, training: TrainingSettings, data: Workload) -> float:
    """Time of a training on two cores."""
    return message_passing_days(model, training, data, pair_features=6 * model.frequencies)


JOINT = ModelKind(
    name="joint",
    sentence="the paper's: lattice, coordinates, elements and site symmetries diffuse together",
    settings=JointSettings,
    implementation="symmcd.diffusion.joint_model:JointModel",
    parts=(Part("denoiser", independent_of={"training": ("wyckoff_epochs", "calibration_rounds")}),),
    losses={
        "lattice": "squared error of the noise of the lattice",
        "position": "squared error of the score of the coordinates",
        "element": "cross-entropy of the elements, nats per orbit",
        "site_symmetry": "cross-entropy of the site symmetries, nats per orbit, the mean over axes",
        "total": "weighted sum of its components",
    },
    cpu_days=cpu_days,
)

UNIT_CELL = replace(
    JOINT,
    name="unit_cell",
    sentence="the joint model on whole cells in P1, the rival of the paper's Table 4",
    implementation="symmcd.diffusion.joint_model:UnitCellModel",
)
