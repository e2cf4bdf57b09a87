"""Each part of a corrupted crystal has the moments its formula gives, and fixed things stay fixed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from symmcd.batch import OrbitBatch
from symmcd.crystallography.lattice import free_coefficients
from symmcd.diffusion.data_statistics import DataStatistics
from symmcd.diffusion.denoiser import Prediction
from symmcd.diffusion.forward_process import ForwardProcess, Noise
from symmcd.diffusion.loss import component_losses, total_loss
from symmcd.settings import TrainingSettings
from tests.diffusion.crystals import SMALL, random_units

UNITS = random_units(200)
PROCESS = ForwardProcess(SMALL, DataStatistics.of(UNITS))
BATCH = OrbitBatch.from_units(UNITS)


def corrupted(t: int, seed: int = 0, batch: OrbitBatch = BATCH, process: ForwardProcess = PROCESS):
    noise = Noise.draw(*batch.mask.shape, torch.Generator().manual_seed(seed))
    return process.corrupt(batch, torch.full((len(batch),), t), noise)


@pytest.mark.parametrize("standardised", [True, False])
def test_fixed_coefficients_stay(standardised):
    settings = dataclasses.replace(SMALL, standardise_lattice=standardised)
    process = ForwardProcess(settings, DataStatistics.of(UNITS))
    for t in (1, 10, 20):
        state, target = corrupted(t, process=process)
        k = process.unstandardise(state.z)
        free = torch.tensor(free_coefficients())[BATCH.space_group - 1]
        torch.testing.assert_close(k[~free], BATCH.k[~free], atol=1e-5, rtol=0)
        assert not target.lattice_noise[~free].any()
        assert (state.z != process.standardise(BATCH.k))[free].float().mean() > 0.99
    if standardised:
        z = process.standardise(BATCH.k)[:, 5]  # free in every group
        assert float(z.mean()) == pytest.approx(0, abs=1e-4)
        assert float(z.std(correction=0)) == pytest.approx(1, abs=1e-4)


def test_moments_of_the_lattice_and_the_normalised_score():
    t = 10
    states, targets = zip(*(corrupted(t, seed) for seed in range(50)), strict=True)
    z_t = torch.stack([s.z[:, 5] for s in states])
    a = PROCESS.alpha_bar[t]
    expected = a.sqrt() * PROCESS.standardise(BATCH.k)[:, 5]
    assert float((z_t.mean(0) - expected).abs().max()) < 5 * float(((1 - a) / 50).sqrt())
    assert float((z_t - expected).var()) == pytest.approx(float(1 - a), rel=0.05)
    scores = torch.cat([x.position_score[BATCH.mask] for x in targets])
    assert float((scores**2).mean()) == pytest.approx(1, rel=0.03)


def test_at_T_nothing_is_left():
    state, _ = corrupted(SMALL.steps)
    x = torch.sort(state.position[state.mask].flatten()).values
    assert float((x - torch.linspace(0, 1, len(x))).abs().max()) < 2 / np.sqrt(len(x))
    share = torch.bincount(state.element[state.mask], minlength=119)[1:] / state.mask.sum()
    torch.testing.assert_close(share, PROCESS.element_marginal, atol=0.06, rtol=0)


def test_at_1_nearly_all_is_left():
    state, _ = corrupted(1)
    moved = (state.position - BATCH.position + 0.5) % 1 - 0.5
    assert float(moved.std()) < 0.006
    assert float((state.element == BATCH.element).float().mean()) > 0.98
    assert float((state.site_symmetry == BATCH.site_symmetry).float().mean()) > 0.98


def test_padding_stays_empty():
    state, _ = corrupted(15)
    for name in ("position", "element", "site_symmetry"):
        assert not getattr(state, name)[~state.mask].any()


def test_groups_of_a_batch_add_up_to_its_loss_and_padding_costs_nothing():
    _, target = corrupted(10)
    torch.manual_seed(0)
    b, n = BATCH.mask.shape
    prediction = Prediction(torch.randn(b, 6), torch.randn(b, n, 3), torch.randn(b, n, 118), torch.randn(b, n, 15, 13))
    orbits = int(BATCH.mask.sum())
    whole = component_losses(prediction, target, BATCH.mask, b, orbits)
    parts = []
    for rows in torch.arange(b).split(37):
        cut = Prediction(*(getattr(prediction, f.name)[rows] for f in dataclasses.fields(prediction)))
        parts.append(component_losses(cut, target.select(rows), BATCH.mask[rows], b, orbits))
    for name, value in whole.items():
        torch.testing.assert_close(sum(part[name] for part in parts), value)
    # against a plain loop over real orbits
    m = BATCH.mask
    expected = -torch.log_softmax(prediction.element[m], -1)[torch.arange(orbits), target.element[m] - 1].mean()
    torch.testing.assert_close(whole["element"], expected)
    s = torch.log_softmax(prediction.site_symmetry[m], -1).gather(-1, target.site_symmetry[m][..., None])
    torch.testing.assert_close(whole["site_symmetry"], -s.mean())
    torch.testing.assert_close(whole["position"], ((prediction.position_score - target.position_score)[m] ** 2).mean())
    weights = TrainingSettings().loss_weights
    total = 5 * whole["lattice"] + whole["position"] + 0.1 * whole["element"] + 10 * whole["site_symmetry"]
    torch.testing.assert_close(total_loss(whole, weights), total)
