"""Losses of the joint denoiser."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from symmcd.batch import OrbitBatch
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.diffusion.data_statistics import DataStatistics
from symmcd.diffusion.denoiser import Denoiser
from symmcd.diffusion.forward_process import ForwardProcess
from symmcd.diffusion.joint_kind import JointSettings
from symmcd.diffusion.loss import NAMES, batch_losses, corrupted
from symmcd.diffusion.objective import VALIDATION_SEED
from symmcd.diffusion.precision import choose_precision
from symmcd.diffusion.random_streams import mixed_seed
from symmcd.settings import Precision


class JointObjective:
    """The joint denoiser of the paper."""

    names = NAMES

    def __init__(
        self,
        model: JointSettings,
        train: AsymmetricUnits,
        validation: AsymmetricUnits,
        loss_weights: Mapping[str, float],
        device: torch.device,
        precision: Precision = "auto",
    ) -> None:
        self.precision = choose_precision(precision, device, model.width)
        self.statistics = DataStatistics.of(train).to(device)
        self.process = ForwardProcess(model, self.statistics)
        self.data = OrbitBatch.from_units(train).to(device)
        self.validation = OrbitBatch.from_units(validation).to(device)
        self.loss_weights = loss_weights
        self.network = Denoiser(model).to(device)

    @property
    def crystals(self) -> int:
        return len(self.data)

    def losses(
        self, network: nn.Module, rows: Tensor, seed: int, *, backward: bool, share: Tensor | None = None
    ) -> dict[str, float]:
        assert isinstance(network, Denoiser)
        parts = corrupted(self.process, self.data.select(rows), seed)
        return batch_losses(
            network, *parts, self.loss_weights, backward=backward, share=share, precision=self.precision
        )

    def validation_losses(self, network: nn.Module, batch_size: int) -> dict[str, float]:
        assert isinstance(network, Denoiser)
        sums = dict.fromkeys(NAMES, 0.0)
        order = torch.argsort(self.validation.count, stable=True)
        for number, rows in enumerate(order.split(batch_size)):
            parts = corrupted(self.process, self.validation.select(rows), mixed_seed(VALIDATION_SEED, number))
            losses = batch_losses(network, *parts, self.loss_weights, backward=False, precision=self.precision)
            for name, value in losses.items():
                sums[name] += value * len(rows)
        return {name: value / len(self.validation) for name, value in sums.items()}

    def inputs(self, rows: Tensor, seed: int) -> dict[str, Tensor]:
        state, target, times = corrupted(self.process, self.data.select(rows), seed)
        return {"times": times} | {
            f"{kind}/{field.name}": getattr(part, field.name)
            for kind, part in (("state", state), ("target", target))
            for field in dataclasses.fields(part)
        }

    def finished(self, weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return dict(weights), {}
