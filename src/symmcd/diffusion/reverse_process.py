"""Joint reverse process: from pure noise at T to a crystal at 0 (paper, Algorithm 2 and appendix D).

Steps may skip times: every posterior below is that of a step from t to any s < t, not only to t - 1.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from symmcd.batch import NoisyBatch, OrbitBatch
from symmcd.diffusion.categorical import draw, posterior
from symmcd.diffusion.data_statistics import AXES
from symmcd.diffusion.denoiser import Prediction
from symmcd.diffusion.draws import DRAWS, Draw, JointDraw
from symmcd.diffusion.forward_process import ForwardProcess
from symmcd.diffusion.random_streams import CrystalStreams

Predict = Callable[[NoisyBatch, Tensor], Prediction]


def start(process: ForwardProcess, space_group: Tensor, mask: Tensor, streams: CrystalStreams) -> NoisyBatch:
    """State at T: k normal where it is free, coordinates uniform, classes from their marginals.

    Args:
        process: tables.
        space_group: (B,) 1 … 230.
        mask: (B, N).
        streams: random numbers of the B crystals.
    """
    orbits = mask.shape[1]
    marginal = process.site_symmetry_marginal[space_group - 1][:, None]
    element = draw(process.element_marginal, streams.uniform(JointDraw.ELEMENT, (orbits,))) + 1
    site_symmetry = draw(marginal, streams.uniform(JointDraw.SITE_SYMMETRY, (orbits, AXES)))
    return NoisyBatch(
        space_group=space_group,
        z=process.constrain(streams.normal(Draw.LATTICE, (6,)), space_group),
        position=torch.where(mask[..., None], streams.uniform(Draw.POSITION, (orbits, 3)), 0.0),
        element=torch.where(mask, element, 0),
        site_symmetry=torch.where(mask[..., None], site_symmetry, 0),
        mask=mask,
    )


def run(
    predict: Predict,
    process: ForwardProcess,
    state: NoisyBatch,
    times: Sequence[int],
    streams: CrystalStreams,
    corrector_step: float | None = None,
    on_step: Callable[[int], None] = lambda _: None,
) -> OrbitBatch:
    """Carry `state` through `times`, T first and 0 last.

    Args:
        predict: the denoiser.
        process: tables of the forward process.
        state: from `start`.
        times: see `noise_schedule.reverse_times`.
        streams: random numbers of the crystals.
        corrector_step: step of a Langevin corrector of the coordinates before each predictor, at σ_1 (Song et al. 2021;
            Jiao et al. 2023, who use 1e-5); None leaves the corrector out, and with it half of the network calls.
        on_step: called with the number of each finished step.
    """
    crystals = torch.ones_like(state.space_group)
    for step, (t, s) in enumerate(pairwise(times), start=1):
        if corrector_step is not None:
            prediction = predict(state, crystals * t)
            noise = streams.normal(step * DRAWS + JointDraw.CORRECTOR, tuple(state.position.shape[1:]))
            state = corrected(process, state, prediction.position_score, t, corrector_step, noise)
        prediction = predict(state, crystals * t)
        state = predicted(process, state, prediction, t, s, streams, step)
        on_step(step)
    k = process.unstandardise(process.constrain(state.z, state.space_group))
    return OrbitBatch(state.space_group, state.position, state.element, state.site_symmetry, state.mask, k)


def predicted(
    process: ForwardProcess,
    state: NoisyBatch,
    prediction: Prediction,
    t: int,
    s: int,
    streams: CrystalStreams,
    step: int,
) -> NoisyBatch:
    """All four parts one step on, from t to s < t."""
    orbits = state.position.shape[1]
    first = step * DRAWS
    a_t, a_s = process.alpha_bar[t], process.alpha_bar[s]
    z = lattice_step(
        state.z,
        prediction.lattice_noise,
        a_t,
        a_s,
        process.lattice_bounds,
        streams.normal(first + Draw.LATTICE, (6,)),
    )
    score = prediction.position_score * process.score_scale[t]
    noise = streams.normal(first + Draw.POSITION, (orbits, 3))
    position = position_step(state.position, score, process.sigma[t], process.sigma[s], noise)

    element = posterior(
        (state.element - 1).clamp_min(0),
        torch.softmax(_supported(prediction.element, process.element_marginal), dim=-1),
        a_s, a_t, process.element_marginal,
    )  # fmt: skip
    marginal = process.site_symmetry_marginal[state.space_group - 1][:, None]
    site_symmetry = posterior(
        state.site_symmetry,
        torch.softmax(_supported(prediction.site_symmetry, marginal), dim=-1),
        a_s, a_t, marginal,
    )  # fmt: skip
    new_element = draw(element, streams.uniform(first + JointDraw.ELEMENT, (orbits,))) + 1
    new_site_symmetry = draw(site_symmetry, streams.uniform(first + JointDraw.SITE_SYMMETRY, (orbits, AXES)))
    return NoisyBatch(
        space_group=state.space_group,
        z=process.constrain(z, state.space_group),
        position=torch.where(state.mask[..., None], position, 0.0),
        element=torch.where(state.mask, new_element, 0),
        site_symmetry=torch.where(state.mask[..., None], new_site_symmetry, 0),
        mask=state.mask,
    )


def _supported(logits: Tensor, marginal: Tensor) -> Tensor:
    """Logits without the classes that no orbit of the training set (and of the group) has."""
    return logits.masked_fill(marginal <= 0, -torch.inf)


def lattice_step(
    z: Tensor, noise_hat: Tensor, a_t: Tensor, a_s: Tensor, bounds: tuple[Tensor, Tensor], noise: Tensor
) -> Tensor:
    """q(z_s | z_t, ẑ_0) of a Gaussian process, with ẑ_0 = (z_t - √(1 - ᾱ_t) ε̂)/√ᾱ_t kept within `bounds`.

    Without bounds the first step would multiply any error of ε̂ by √(1/ᾱ_T), a thousand or more.

    Args:
        z: (B, 6) standardised.
        noise_hat: (B, 6) ε̂.
        a_t, a_s: ᾱ at t and at s < t.
        bounds: lowest and highest z_0, (6,) each.
        noise: (B, 6) standard normal.
    """
    clean = ((z - (1 - a_t).sqrt() * noise_hat) / a_t.sqrt()).clamp(*bounds)
    alpha = a_t / a_s
    mean = (a_s.sqrt() * (1 - alpha) * clean + alpha.sqrt() * (1 - a_s) * z) / (1 - a_t)
    return mean + ((1 - a_s) * (1 - alpha) / (1 - a_t)).sqrt() * noise


def position_step(position: Tensor, score: Tensor, sigma_t: Tensor, sigma_s: Tensor, noise: Tensor) -> Tensor:
    """Ancestral step of the wrapped normal from t to s (Song et al. 2021, appendix F; Jiao et al. 2023).

    x_s = x_t + (σ_t² - σ_s²) score + σ_s √((σ_t² - σ_s²)/σ_t²) noise mod 1, all in fractional coordinates.
    """
    lost = sigma_t**2 - sigma_s**2
    return (position + lost * score + sigma_s * (lost / sigma_t**2).sqrt() * noise) % 1.0


def corrected(
    process: ForwardProcess, state: NoisyBatch, score: Tensor, t: int, step_at_sigma_1: float, noise: Tensor
) -> NoisyBatch:
    """One Langevin step of the coordinates at time t, of size step_at_sigma_1 (σ_t/σ_1)²; `score` normalised."""
    size = step_at_sigma_1 * (process.sigma[t] / process.sigma[1]) ** 2
    position = (state.position + size * score * process.score_scale[t] + (2 * size).sqrt() * noise) % 1.0
    return dataclasses.replace(state, position=torch.where(state.mask[..., None], position, 0.0))
