"""With the exact answers in the network's place, the reverse process gives the data distribution back."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from symmcd.batch import NoisyBatch
from symmcd.crystallography.lattice import constrain
from symmcd.diffusion import reverse_process
from symmcd.diffusion.data_statistics import DataStatistics
from symmcd.diffusion.denoiser import Prediction
from symmcd.diffusion.forward_process import ForwardProcess
from symmcd.diffusion.joint_kind import JointSettings
from symmcd.diffusion.noise_schedule import reverse_times
from symmcd.diffusion.random_streams import CrystalStreams
from symmcd.diffusion.wrapped_normal import wrapped_log_density
from tests.diffusion.crystals import random_units

STEPS = 100
SETTINGS = JointSettings(width=8, layers=1, frequencies=2, steps=STEPS)
PROCESS = ForwardProcess(SETTINGS, DataStatistics.of(random_units(300)))
PROCESS.lattice_bounds = (torch.full((6,), -99.0), torch.full((6,), 99.0))
CRYSTALS = 1000
MEAN, STD = 0.7, 0.3  # of the standardised lattice of the made-up data
CENTRE, WIDTH = 0.9, 0.06  # of its coordinates: they wrap around
GROUP = 2  # triclinic: six free coefficients; two classes of site symmetry


def exact(state: NoisyBatch, time: torch.Tensor) -> Prediction:
    """The best possible answer where k is N(MEAN, STD²), x is a wrapped normal, and classes are independent.

    For independent classes with prior p, p(a_0 | a_t) ∝ p(a_0) q(a_t | a_0).
    """
    t = int(time[0])
    a, sigma = PROCESS.alpha_bar[t], PROCESS.sigma[t]
    noise = (1 - a).sqrt() * (state.z - a.sqrt() * MEAN) / (a * STD**2 + 1 - a)
    with torch.enable_grad():
        x = (state.position - CENTRE).requires_grad_()
        width = (WIDTH**2 + sigma**2).sqrt().expand_as(x)
        (score,) = torch.autograd.grad(wrapped_log_density(x, width).sum(), x)

    def clean(noisy: torch.Tensor, prior: torch.Tensor, marginal: torch.Tensor) -> torch.Tensor:
        at = torch.nn.functional.one_hot(noisy, prior.shape[-1])
        return torch.log(prior * (a * at + (1 - a) * marginal.expand(at.shape).gather(-1, noisy[..., None])))

    return Prediction(
        lattice_noise=noise,
        position_score=score / PROCESS.score_scale[t],
        element=clean((state.element - 1).clamp_min(0), ELEMENTS, PROCESS.element_marginal),
        site_symmetry=clean(state.site_symmetry, SITES, PROCESS.site_symmetry_marginal[GROUP - 1]),
    )


def other_shares(marginal: torch.Tensor) -> torch.Tensor:
    """Another distribution over the same classes."""
    weights = torch.arange(1, marginal.shape[-1] + 1) ** 1.5
    shares = weights * (marginal > 0)
    return shares / shares.sum(-1, keepdim=True)


ELEMENTS = other_shares(PROCESS.element_marginal)
SITES = other_shares(PROCESS.site_symmetry_marginal[GROUP - 1])


@pytest.mark.parametrize(("steps", "corrector"), [(STEPS, None), (STEPS, 1e-5), (25, None)])
def test_exact_answers_give_the_moments_back(steps, corrector):
    streams = CrystalStreams(0, torch.arange(CRYSTALS))
    mask = torch.ones(CRYSTALS, 1, dtype=torch.bool)
    state = reverse_process.start(PROCESS, torch.full((CRYSTALS,), GROUP), mask, streams)
    state = reverse_process.run(exact, PROCESS, state, reverse_times(STEPS, steps), streams, corrector)
    error = 5 / np.sqrt(CRYSTALS)

    z = PROCESS.standardise(state.k)
    coarse = 3.0 if steps < STEPS else 1.0
    torch.testing.assert_close(z.mean(0), torch.full((6,), MEAN), atol=coarse * error * STD, rtol=0)
    torch.testing.assert_close(z.std(0), torch.full((6,), STD), rtol=0.1 * coarse, atol=0)

    angle = 2 * np.pi * (state.position - CENTRE)
    assert float(angle.sin().mean()) == pytest.approx(0, abs=coarse * error)
    spread = ((state.position - CENTRE + 0.5) % 1 - 0.5).std()
    assert float(spread) == pytest.approx(WIDTH, rel=0.1 if steps == STEPS else 0.3)

    share = torch.bincount(state.element.flatten(), minlength=119)[1:] / CRYSTALS
    torch.testing.assert_close(share, ELEMENTS, atol=error, rtol=0)
    for axis in range(15):
        share = torch.bincount(state.site_symmetry[:, 0, axis], minlength=13) / CRYSTALS
        torch.testing.assert_close(share, SITES[axis], atol=error, rtol=0)


def test_fixed_coefficients_and_padding_stay_through_the_whole_process():
    group = torch.tensor([225, 194, 62, 14, 139, 1])
    mask = torch.arange(4) < torch.tensor([1, 2, 3, 4, 2, 1])[:, None]
    streams = CrystalStreams(0, torch.arange(6))

    def noise(state: NoisyBatch, time: torch.Tensor) -> Prediction:
        b, n = state.mask.shape
        g = torch.Generator().manual_seed(int(time[0]))
        shapes = ((b, 6), (b, n, 3), (b, n, 118), (b, n, 15, 13))
        return Prediction(*(torch.randn(shape, generator=g) for shape in shapes))

    process = ForwardProcess(SETTINGS, DataStatistics.of(random_units(300)))
    state = reverse_process.start(process, group, mask, streams)
    state = reverse_process.run(noise, process, state, reverse_times(STEPS, 30), streams, 1e-5)
    np.testing.assert_allclose(state.k, constrain(state.k.numpy(), group.numpy()), atol=1e-5)
    for name in ("position", "element", "site_symmetry"):
        value = getattr(state, name)
        assert not value[~mask].any()
        assert value[mask].isfinite().all()
    seen = set(random_units(300).element.tolist())
    assert set(state.element[mask].tolist()) <= seen
    allowed = process.site_symmetry_marginal[group - 1] > 0  # (6, 15, 13)
    chosen = allowed[:, None].expand(-1, 4, -1, -1).gather(3, state.site_symmetry[..., None])[..., 0]
    assert chosen[mask].all()


def test_skipped_steps_compose():
    """Two Gaussian steps through an intermediate time are one, in mean and variance, for a known clean value."""
    a = PROCESS.alpha_bar
    unbounded = (torch.full((6,), -99.0), torch.full((6,), 99.0))
    z_0, n = torch.tensor(1.3), 200_000
    z_t = torch.full((n, 1), 0.4)

    def step(z, t, s, seed):
        noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(seed))
        epsilon = (z - a[t].sqrt() * z_0) / (1 - a[t]).sqrt()
        bounds = tuple(b[:1] for b in unbounded)
        return reverse_process.lattice_step(z, epsilon, a[t], a[s], bounds, noise)

    direct, through = step(z_t, 80, 20, 0), step(step(z_t, 80, 50, 1), 50, 20, 2)
    assert float(direct.mean()) == pytest.approx(float(through.mean()), abs=0.01)
    assert float(direct.std()) == pytest.approx(float(through.std()), rel=0.01)


@pytest.mark.parametrize(("sigma_t", "sigma_s"), [(0.05, 0.03), (0.05, 0.001), (0.05, 0.0)])
def test_one_position_step_of_any_length_is_exact_for_a_known_crystal(sigma_t, sigma_s):
    """x_t ~ N(x_0, σ_t²) must become x_s ~ N(x_0, σ_s²), here across the cell boundary."""
    x_0, n = 0.99, 100_000
    t, s = torch.tensor(sigma_t), torch.tensor(sigma_s)
    generator = torch.Generator().manual_seed(0)
    shift = t * torch.randn(n, generator=generator)
    x_s = reverse_process.position_step((x_0 + shift) % 1, -shift / t**2, t, s, torch.randn(n, generator=generator))
    moved = ((x_s - x_0 + 0.5) % 1 - 0.5).double()
    assert float(moved.mean()) == pytest.approx(0, abs=5 * sigma_s / np.sqrt(n) + 1e-6)
    assert float(moved.std()) == pytest.approx(sigma_s, rel=0.01, abs=1e-6)


def test_state_is_not_changed_in_place():
    streams = CrystalStreams(0, torch.arange(3))
    state = reverse_process.start(PROCESS, torch.full((3,), GROUP), torch.ones(3, 2, dtype=torch.bool), streams)
    copy = {f.name: getattr(state, f.name).clone() for f in dataclasses.fields(state)}
    reverse_process.run(exact, PROCESS, state, [100, 0], streams)
    for name, value in copy.items():
        torch.testing.assert_close(getattr(state, name), value)
