"""Losses of the two networks of a staged model, each trained by itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from symmcd.batch import split_by_count
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.diffusion.objective import VALIDATION_SEED
from symmcd.diffusion.precision import choose_precision, products
from symmcd.diffusion.random_streams import mixed_seed
from symmcd.diffusion.staged.calibration import calibrate_elements
from symmcd.diffusion.staged.flat_crystals import FlatCrystals
from symmcd.diffusion.staged.geometry_network import GeometryNetwork
from symmcd.diffusion.staged.geometry_process import GeometryProcess, corrupt, geometry_losses
from symmcd.diffusion.staged.kind import StagedSettings
from symmcd.diffusion.staged.lattice_scale import LatticeScale
from symmcd.diffusion.staged.wyckoff_network import WyckoffNetwork
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences
from symmcd.errors import InputError
from symmcd.settings import Precision

VALIDATION_BATCH = 512  # crystals at once, after the training
LAUNCH_PAIRS = {"cpu": 2000, "cuda": 40_000}  # what one more group of a batch costs (see `split_by_count`)


def wyckoff_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """Precision of the transformer; ``auto`` is float32 on a CPU, where its attention over ten places is faster."""
    return choose_precision(precision, device, width=0)


class WyckoffObjective:
    """Negative log-likelihood of Wyckoff positions and of elements, nats per crystal."""

    names = ("wyckoff", "element", "total")

    def __init__(
        self,
        model: StagedSettings,
        train: AsymmetricUnits,
        validation: AsymmetricUnits,
        device: torch.device,
        precision: Precision = "auto",
        calibration_rounds: int = 0,
    ) -> None:
        self.precision, self.calibration_rounds = wyckoff_precision(precision, device), calibration_rounds
        self.data = WyckoffSequences.from_units(train).to(device)
        self.validation = WyckoffSequences.from_units(validation).to(device)
        self.network = WyckoffNetwork(model).to(device)
        seen = torch.bincount(torch.as_tensor(train.element) - 1, minlength=len(self.network.seen)) > 0
        self.network.seen.copy_(seen)
        self.validation = likely_at_all(self.validation, self.network.seen)

    @property
    def crystals(self) -> int:
        return len(self.data)

    def losses(
        self, network: nn.Module, rows: Tensor, seed: int, *, backward: bool, share: Tensor | None = None
    ) -> dict[str, float]:
        # dropout: other noise in each share
        torch.manual_seed(seed if share is None or not len(share) else mixed_seed(seed, int(share[0])))
        return self._losses(network, self.data.select(rows), backward=backward, share=share)

    def validation_losses(self, network: nn.Module, batch_size: int) -> dict[str, float]:
        network.eval()
        sums = dict.fromkeys(self.names, 0.0)
        for rows in torch.argsort(self.validation.count, stable=True).split(batch_size):
            for name, value in self._losses(network, self.validation.select(rows), backward=False).items():
                sums[name] += value * len(rows)
        network.train()
        return {name: value / len(self.validation) for name, value in sums.items()}

    def inputs(self, rows: Tensor, seed: int) -> dict[str, Tensor]:  # noqa: ARG002  (there is no noise here)
        crystals = self.data.select(rows)
        return {field.name: getattr(crystals, field.name) for field in dataclasses.fields(crystals)}

    def finished(self, weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Weights that expect each element as often as the training set has it (see `calibration`)."""
        network, rounds = self.network, self.calibration_rounds
        if not rounds:
            return dict(weights), {}
        network.load_state_dict(dict(weights))
        network.eval()
        shift = calibrate_elements(network, self.data, rounds)[network.seen]
        loss = self.validation_losses(network, VALIDATION_BATCH)["total"]
        print(
            "logits of elements shifted until each is expected as often as the training set has it: by "
            f"{shift.std():.3f} (standard deviation) in {rounds} rounds, validation loss now {loss:.4f}"
        )
        return network.state_dict(), {"calibration_rounds": rounds}

    def _losses(
        self, network: nn.Module, batch: WyckoffSequences, *, backward: bool, share: Tensor | None = None
    ) -> dict[str, float]:
        device = batch.count.device
        sums = torch.zeros(3, device=device, dtype=torch.float64)
        whole = len(batch)
        batch = batch if share is None else batch.select(share)
        for rows, longest in split_by_count(batch.count, LAUNCH_PAIRS[device.type]):
            with torch.set_grad_enabled(backward), products(device, self.precision):
                parts = negative_log_likelihood(network, batch.select(rows, longest)) / whole
                total = parts.sum()
            if backward:
                total.backward()
            sums += torch.cat([parts, total[None]]).detach()
        return dict(zip(self.names, sums.tolist(), strict=True))


def likely_at_all(crystals: WyckoffSequences, seen: Tensor) -> WyckoffSequences:
    """The crystals of elements that are `seen` (118,): one other, of probability zero, makes the mean loss infinite.

    Raises:
        InputError: there are none.
    """
    kept = (seen[crystals.element.clamp_min(1) - 1] | ~crystals.mask).all(dim=1).nonzero()[:, 0]
    if not len(kept):
        raise InputError(
            "every validation crystal has an element that no training crystal has; split the data differently"
        )
    if len(kept) < len(crystals):
        print(f"{len(crystals) - len(kept)} of {len(crystals)} validation crystals have elements that no training "
              "crystal has: left out of the validation loss of Wyckoff positions and elements")  # fmt: skip
    return crystals.select(kept)


def negative_log_likelihood(network: nn.Module, crystals: WyckoffSequences) -> Tensor:
    """-log p of all positions and of all elements of `crystals`, summed, (2,)."""
    logits, mask = network(crystals), crystals.mask
    positions = cross_entropy(logits.wyckoff[mask], crystals.letter[mask], reduction="sum")
    elements = cross_entropy(logits.element[mask], crystals.element[mask] - 1, reduction="sum")
    return torch.stack([positions, elements])


class GeometryObjective:
    """Squared errors of the denoiser of k and free coordinates; the total is their plain sum."""

    names = ("lattice", "position", "total")

    def __init__(
        self,
        model: StagedSettings,
        train: AsymmetricUnits,
        validation: AsymmetricUnits,
        device: torch.device,
        precision: Precision = "auto",
    ) -> None:
        self.precision = choose_precision(precision, device, model.width)
        self.data = FlatCrystals.from_units(train).to(device)
        self.validation = FlatCrystals.from_units(validation).to(device)
        self.scale = LatticeScale.of(FlatCrystals.from_units(train)).to(device)
        self.process = GeometryProcess(model, self.scale, self.precision)
        self.network = GeometryNetwork(model).to(device)

    @property
    def crystals(self) -> int:
        return len(self.data)

    def losses(
        self, network: nn.Module, rows: Tensor, seed: int, *, backward: bool, share: Tensor | None = None
    ) -> dict[str, float]:
        return self._losses(network, self.data.take(rows), seed, backward=backward, share=share)

    def validation_losses(self, network: nn.Module, batch_size: int) -> dict[str, float]:
        sums = dict.fromkeys(self.names, 0.0)
        for number, rows in self._validation_batches(batch_size):
            losses = self._losses(
                network, self.validation.take(rows), mixed_seed(VALIDATION_SEED, number), backward=False
            )
            for name, value in losses.items():
                sums[name] += value * len(rows)
        return {name: value / len(self.validation) for name, value in sums.items()}

    def inputs(self, rows: Tensor, seed: int) -> dict[str, Tensor]:
        crystals = self.data.take(rows)
        return {field.name: getattr(crystals, field.name) for field in dataclasses.fields(crystals)} | {
            f"noisy/{name}": value for name, value in vars(corrupt(self.process, crystals, seed)).items()
        }

    def finished(self, weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return dict(weights), {}

    def _validation_batches(self, batch_size: int) -> Iterator[tuple[int, Tensor]]:
        rows = torch.arange(len(self.validation), device=self.validation.start.device)
        return iter(enumerate(rows.split(batch_size)))

    def _losses(
        self, network: nn.Module, batch: FlatCrystals, seed: int, *, backward: bool, share: Tensor | None = None
    ) -> dict[str, float]:
        assert isinstance(network, GeometryNetwork)
        with torch.set_grad_enabled(backward), products(batch.start.device, self.precision):
            parts = geometry_losses(self.process, network, batch, seed, share)
            total = parts.sum()
        if backward:
            total.backward()
        return dict(zip(self.names, [*parts.tolist(), total.item()], strict=True))
