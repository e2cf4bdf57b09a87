"""Loss of each part (paper, appendix D): squared error of lattice noise and score, cross-entropy of the classes."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn.functional import cross_entropy

from symmcd.diffusion.denoiser import Prediction
from symmcd.diffusion.forward_process import Target

COMPONENTS = ("lattice", "position", "element", "site_symmetry")


def component_losses(
    prediction: Prediction, target: Target, mask: Tensor, crystals: int, orbits: int
) -> dict[str, Tensor]:
    """Sum of each loss over a batch, divided by `crystals` or `orbits`, so that parts of a batch add up to its mean.

    The lattice loss is the mean over the six coefficients, fixed ones with the target 0; that of site symmetry the
    mean over the 15 axes.  Orbits count alike, whatever their multiplicity.

    Args:
        prediction: of the denoiser.
        target: from `ForwardProcess.corrupt`.
        mask: (B, N) real orbits.
        crystals: number of crystals in the whole batch.
        orbits: number of real orbits in the whole batch.
    """
    element = cross_entropy(
        prediction.element.flatten(0, 1), (target.element - 1).clamp_min(0).flatten(), reduction="none"
    )
    site_symmetry = cross_entropy(
        prediction.site_symmetry.flatten(0, 2), target.site_symmetry.flatten(), reduction="none"
    ).reshape(target.site_symmetry.shape)
    return {
        "lattice": ((prediction.lattice_noise - target.lattice_noise) ** 2).mean(dim=1).sum() / crystals,
        "position": (((prediction.position_score - target.position_score) ** 2).mean(dim=2) * mask).sum() / orbits,
        "element": (element.reshape(mask.shape) * mask).sum() / orbits,
        "site_symmetry": (site_symmetry.mean(dim=2) * mask).sum() / orbits,
    }


def total_loss(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Weighted sum of the components."""
    return sum((weights[name] * losses[name] for name in COMPONENTS), start=losses["lattice"] * 0)
