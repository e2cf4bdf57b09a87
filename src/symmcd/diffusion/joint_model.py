"""The joint model in use: the paper's denoiser, from a checkpoint to sampled crystals."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from symmcd.batch import NoisyBatch
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.decode import decode
from symmcd.crystallography.orbit import in_unit_cell
from symmcd.diffusion import reverse_process
from symmcd.diffusion.checkpoint import Checkpoint, load_weights
from symmcd.diffusion.denoiser import Denoiser, Prediction
from symmcd.diffusion.forward_process import ForwardProcess
from symmcd.diffusion.joint_kind import JointSettings
from symmcd.diffusion.joint_objective import JointObjective
from symmcd.diffusion.model import OnStep, PartObjective, Plan, Task, check_finite, statistics_of
from symmcd.diffusion.noise_schedule import reverse_times
from symmcd.diffusion.precision import choose_precision, lowered, products
from symmcd.diffusion.random_streams import CrystalStreams
from symmcd.diffusion.sampler import Sampler
from symmcd.settings import Precision


class JointModel:
    """The paper's denoiser: everything diffuses together."""

    one_size = True  # padding to the largest of a mixed batch would multiply the work

    def __init__(self, checkpoint: Checkpoint, precision: Precision = "auto") -> None:
        device = checkpoint.statistics.lattice_mean.device
        self.denoiser = Denoiser(checkpoint.settings)
        load_weights(self.denoiser, checkpoint.weights)
        self.denoiser = self.denoiser.to(device).eval().requires_grad_(requires_grad=False)
        self.precision = choose_precision(precision, device, checkpoint.settings.width)
        lowered(self.denoiser, self.precision)
        self.process = ForwardProcess(checkpoint.settings, checkpoint.statistics)

    @classmethod
    def prepared(cls, units: AsymmetricUnits) -> AsymmetricUnits:
        """Crystals as the network learns them."""
        return units

    @classmethod
    def objective(cls, part: str, task: Task) -> PartObjective:  # noqa: ARG003  (it has one part)
        """The weighted losses of the paper, see `model.Model.objective`."""
        return JointObjective(
            task.model,
            cls.prepared(task.train),
            cls.prepared(task.validation),
            task.training.loss_weights,
            task.device,
            task.training.precision,
        )

    @classmethod
    def assemble(
        cls,
        settings: JointSettings,  # noqa: ARG003
        parts: Mapping[str, Mapping[str, Tensor]],
        train: AsymmetricUnits,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Weights and statistics of a checkpoint, see `model.Model.assemble`."""
        return dict(parts["denoiser"]), statistics_of(cls.prepared(train))

    def sample(
        self, plan: Plan, streams: CrystalStreams, options: Sampler, on_step: OnStep = lambda _: None
    ) -> AsymmetricUnits:
        """The crystals of `plan`, projected onto their Wyckoff positions, see `model.Model.sample`."""
        device = self.process.sigma.device
        group, orbits = (torch.as_tensor(a, dtype=torch.int64, device=device) for a in (plan.space_group, plan.orbits))
        mask = torch.arange(int(plan.padded.max()), device=device) < orbits[:, None]
        times = reverse_times(self.process.steps, options.steps or self.process.steps)
        corrector_step = options.corrector_step if options.corrector else None
        state = reverse_process.start(self.process, group, mask, streams)
        made = reverse_process.run(self._predict, self.process, state, times, streams, corrector_step, on_step)
        k, position, element, site_symmetry = (
            a.cpu().numpy() for a in (made.k, made.position[mask], made.element[mask], made.site_symmetry[mask])
        )
        check_finite(plan.number, plan.orbits, k, position)
        start = np.concatenate([[0], np.cumsum(plan.orbits)])
        return decode(
            plan.space_group, k.astype(float), element, position.astype(float), site_symmetry.astype(np.uint8), start
        )

    def _predict(self, state: NoisyBatch, time: Tensor) -> Prediction:
        """Matrix products as in training; the prediction is float32."""
        with products(time.device, self.precision):
            return self.denoiser(state, time)


class UnitCellModel(JointModel):
    """The same on whole cells in P1, which knows no symmetry."""

    @classmethod
    def prepared(cls, units: AsymmetricUnits) -> AsymmetricUnits:
        """Every atom of the cell an orbit of P1."""
        return in_unit_cell(units)
