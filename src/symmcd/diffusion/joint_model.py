"""The joint model in use: the paper's denoiser, from a checkpoint to sampled crystals."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from symmcd.batch import OrbitBatch
from symmcd.diffusion import reverse_process
from symmcd.diffusion.checkpoint import Checkpoint, load_weights
from symmcd.diffusion.denoiser import Denoiser, Prediction
from symmcd.diffusion.forward_process import ForwardProcess
from symmcd.diffusion.precision import choose_precision, lowered, products
from symmcd.diffusion.random_streams import CrystalStreams
from symmcd.diffusion.sampler import Sampler
from symmcd.settings import Precision


class JointModel:
    """The paper's denoiser: everything diffuses together."""

    def __init__(self, checkpoint: Checkpoint, precision: Precision = "auto") -> None:
        device = checkpoint.statistics.lattice_mean.device
        self.denoiser = Denoiser(checkpoint.settings)
        load_weights(self.denoiser, checkpoint.weights)
        self.denoiser = self.denoiser.to(device).eval().requires_grad_(requires_grad=False)
        self.precision = choose_precision(precision, device, checkpoint.settings.width)
        lowered(self.denoiser, self.precision)
        self.process = ForwardProcess(checkpoint.settings, checkpoint.statistics)

    def sample(
        self,
        space_group: Tensor,
        orbits: Tensor,
        padded: Sequence[int],
        times: Sequence[int],
        streams: CrystalStreams,
        sampler: Sampler,
        on_step: Callable[[int], None],
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """k (B, 6), and of the orbits laid flat: elements, coordinates (A, 3), site-symmetry classes (A, 15)."""
        corrector_step = sampler.corrector_step if sampler.corrector else None
        mask = torch.arange(max(padded), device=orbits.device) < orbits[:, None]
        state = reverse_process.start(self.process, space_group, mask, streams)
        state = reverse_process.run(self._predict, self.process, state, times, streams, corrector_step, on_step)
        return state.lattice, state.element[mask], state.position[mask], state.site_symmetry[mask]

    def _predict(self, state: OrbitBatch, time: Tensor) -> Prediction:
        """Matrix products as in training; what the network answers is float32."""
        with products(time.device, self.precision):
            return self.denoiser(state, time)
