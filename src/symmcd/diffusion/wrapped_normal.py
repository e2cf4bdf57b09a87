"""The wrapped normal distribution on fractional coordinates, its score and the score's mean square.

Which metric: the noise is isotropic in *fractional* space, x_t = x_0 + σ ε mod 1 with ε ~ N(0, 1) for each of the three
coordinates, whatever the cell.  Its density is then a product over the three coordinates, each wrapped on [0, 1), in a
hexagonal or triclinic cell too, and the score ∂ log q / ∂x is taken in the same coordinates.  Noise and score thus
belong together: the covariance σ² I of the noise turns the score's covariant components into a displacement of
fractional coordinates, x + σ² score, without a metric tensor.  (Noise isotropic in Å would have the covariance
σ² G⁻¹ in fractional coordinates, and neither density nor score would factorise in an oblique cell; mixing the
two conventions is the error that has been reported for hexagonal cells.)  Å enters where distances are compared: in
`crystallography.decode`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

QUADRATURE_POINTS = 513
TAIL = 9.0  # standard deviations beyond which the normal density counts as zero


def wrapped_score(difference: Tensor, sigma: Tensor) -> Tensor:
    """∂ log q(x_t | x_0) / ∂x_t = Σ_n -(d + n)/σ² w_n, with w_n ∝ exp(-(d + n)²/2σ²) over the images n.

    Args:
        difference: d = x_t - x_0, any shape, fractional; only its value mod 1 matters.
        sigma: > 0, broadcasts with `difference`.

    Returns:
        The score in fractional coordinates, of the shape of `difference`.
    """
    reach = 1 + math.ceil(TAIL / 2 * float(sigma.max()))
    d = (difference - difference.round())[..., None] + torch.arange(-reach, reach + 1, device=difference.device)
    variance = sigma[..., None] ** 2
    weight = torch.softmax(-(d**2) / (2 * variance), dim=-1)
    return -(weight * d / variance).sum(dim=-1)


def wrapped_log_density(difference: Tensor, sigma: Tensor) -> Tensor:
    """log q(x_t | x_0) of one coordinate; arguments as `wrapped_score`."""
    reach = 1 + math.ceil(TAIL / 2 * float(sigma.max()))
    d = (difference - difference.round())[..., None] + torch.arange(-reach, reach + 1, device=difference.device)
    variance = sigma[..., None] ** 2
    return torch.logsumexp(-(d**2) / (2 * variance), dim=-1) - 0.5 * torch.log(2 * math.pi * sigma**2)


def mean_square_score(sigma: Tensor) -> Tensor:
    """E[score²] under the wrapped normal itself, by the trapezoidal rule on the circle.

    Close to 1/σ² where σ is small, and to 0 where the distribution is nearly uniform.  The rule converges faster than
    any power of the spacing; where σ is small, it covers `TAIL` standard deviations instead of the circle.

    Args:
        sigma: (T,) > 0.

    Returns:
        (T,) in float64.
    """
    sigma = sigma.to(torch.float64)[:, None]
    half = torch.clamp(TAIL * sigma, max=0.5)
    d = torch.linspace(-1, 1, QUADRATURE_POINTS, dtype=torch.float64) * half
    integrand = torch.exp(wrapped_log_density(d, sigma)) * wrapped_score(d, sigma) ** 2
    return torch.trapezoid(integrand, d, dim=1)
