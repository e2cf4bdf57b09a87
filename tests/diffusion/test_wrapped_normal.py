"""The score is the gradient of the density, and its mean square an integral over the circle."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from symmcd.diffusion.wrapped_normal import mean_square_score, wrapped_log_density, wrapped_score

SIGMAS = (0.005, 0.03, 0.1, 0.3, 0.5, 1.0)


def fourier_density(x: torch.Tensor, sigma: float) -> torch.Tensor:
    """The same distribution as a Fourier series: a second source, made without images."""
    n = torch.arange(1, 400, dtype=torch.float64)
    return 1 + 2 * (torch.exp(-2 * (math.pi * n * sigma) ** 2) * torch.cos(2 * math.pi * n * x[..., None])).sum(-1)


@given(st.floats(-2, 2), st.sampled_from(SIGMAS))
def test_score_is_the_gradient_of_the_log_density(x, sigma):
    x_ = torch.tensor([x], dtype=torch.float64, requires_grad=True)
    sigma_ = torch.tensor([sigma], dtype=torch.float64)
    density = torch.exp(wrapped_log_density(x_.detach(), sigma_))
    assert float(density) == pytest.approx(float(fourier_density(x_.detach(), sigma)), rel=1e-6, abs=1e-9)
    (gradient,) = torch.autograd.grad(wrapped_log_density(x_, sigma_).sum(), x_)
    assert float(wrapped_score(x_.detach(), sigma_)) == pytest.approx(float(gradient), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_mean_square_by_a_fine_grid_and_by_fourier_series(sigma):
    x = torch.arange(20_000, dtype=torch.float64) / 20_000
    density = fourier_density(x, sigma).clamp_min(1e-300)
    slope = torch.gradient(density, spacing=1 / 20_000)[0]
    expected = (slope**2 / density)[density > 1e-12].sum() / 20_000
    found = mean_square_score(torch.tensor([sigma]))[0]
    assert float(found) == pytest.approx(float(expected), rel=2e-3)


def test_limits():
    narrow, wide = mean_square_score(torch.tensor([0.005, 1.0], dtype=torch.float64))
    assert float(narrow) == pytest.approx(0.005**-2, rel=1e-9)
    # first harmonic alone: density 1 + 2a cos, score ≈ -4πa sin, mean square 8π²a²
    assert float(wide) == pytest.approx(8 * math.pi**2 * math.exp(-4 * math.pi**2), rel=1e-6)
