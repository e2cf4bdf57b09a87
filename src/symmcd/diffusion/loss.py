"""Loss of each part (paper, appendix D): squared error of lattice noise and score, cross-entropy of the classes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from symmcd.batch import NoisyBatch, OrbitBatch, laid_flat, split_by_count, within_memory
from symmcd.diffusion.denoiser import Denoiser, Prediction
from symmcd.diffusion.forward_process import ForwardProcess, Noise, Target
from symmcd.diffusion.precision import products

COMPONENTS = ("lattice", "position", "element", "site_symmetry")
NAMES = (*COMPONENTS, "total")
LAUNCH_PAIRS = {"cpu": 0, "cuda": 4000}  # what one more group of a batch costs, in pairs (see split_by_count)
PAIRS_AT_ONCE = {"cpu": 8192, "cuda": 16_384}  # more of a batch add up their gradients lot by lot, to save memory


def component_losses(
    prediction: Prediction, target: Target, mask: Tensor, crystals: int, orbits: int
) -> dict[str, Tensor]:
    """Sum of each loss over a batch, divided by `crystals` or `orbits`, so that parts of a batch add up to its mean.

    The lattice loss is the mean over the six coefficients, fixed ones with the target 0; that of site symmetry the
    mean over the 15 axes.  Orbits count alike, whatever their multiplicity.

    Args:
        prediction: of the denoiser.
        target: from `ForwardProcess.corrupt`.
        mask: (B, N) real orbits, or (ΣBN,) if the others are laid flat too.
        crystals: number of crystals in the whole batch.
        orbits: number of real orbits in the whole batch.
    """
    element = cross_entropy(prediction.element, (target.element - 1).clamp_min(0))
    site_symmetry = cross_entropy(prediction.site_symmetry, target.site_symmetry)
    return {
        "lattice": ((prediction.lattice_noise - target.lattice_noise) ** 2).mean(dim=1).sum() / crystals,
        "position": (((prediction.position_score - target.position_score) ** 2).mean(dim=-1) * mask).sum() / orbits,
        "element": (element * mask).sum() / orbits,
        "site_symmetry": (site_symmetry.mean(dim=-1) * mask).sum() / orbits,
    }


def cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """-log p(label), (...), of logits (..., K); five times as fast as torch's own for few classes on a CPU."""
    return logits.logsumexp(dim=-1) - logits.gather(-1, label[..., None])[..., 0]


def total_loss(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Weighted sum of the components."""
    return sum((weights[name] * losses[name] for name in COMPONENTS), start=losses["lattice"] * 0)


def corrupted(process: ForwardProcess, batch: OrbitBatch, seed: int) -> tuple[NoisyBatch, Target, Tensor]:
    """A batch at times drawn evenly from 1 … T, what to predict of it, and the times (B,)."""
    generator = torch.Generator(batch.mask.device).manual_seed(seed)
    times = torch.randint(1, process.steps + 1, (len(batch),), generator=generator, device=generator.device)
    noise = Noise.draw(len(batch), batch.mask.shape[1], generator)
    noisy, target = process.corrupt(batch, times, noise)
    return noisy, target, times


def batch_losses(
    denoiser: Denoiser,
    noisy: NoisyBatch,
    target: Target,
    times: Tensor,
    weights: Mapping[str, float],
    *,
    backward: bool,
    share: Tensor | None = None,
    precision: torch.dtype = torch.float32,
) -> dict[str, float]:
    """Mean loss of each component and their weighted total; gradients are added to the network if asked.

    The batch goes through in lots that fit into memory, whose gradients add up to that of the whole.  With `share`
    only these of its crystals do, still divided by the counts of the whole batch: losses and gradients of shares add up
    to those of the batch.  Matrix products run in `precision`.
    """
    device = noisy.mask.device.type
    orbits = int(noisy.mask.sum())
    sums = torch.zeros(len(NAMES), device=noisy.mask.device, dtype=torch.float64)
    count = noisy.count if share is None else noisy.count[share]
    for lot in within_memory(split_by_count(count, LAUNCH_PAIRS[device]), PAIRS_AT_ONCE[device]):
        groups = [(rows if share is None else share[rows], width) for rows, width in lot]
        parts = [noisy.select(rows, width) for rows, width in groups]
        answer = laid_flat([target.select(rows, width) for rows, width in groups])
        mask = torch.cat([part.mask.flatten() for part in parts])
        with torch.set_grad_enabled(backward):
            with products(device, precision):
                prediction = denoiser.together(parts, [times[rows] for rows, _ in groups])
            losses = component_losses(prediction, answer, mask, len(noisy), orbits)
            total = total_loss(losses, weights)
        if backward:
            total.backward()
        sums += torch.stack([*(losses[name] for name in COMPONENTS), total]).detach()
    return dict(zip(NAMES, sums.tolist(), strict=True))
