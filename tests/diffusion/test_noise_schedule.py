from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from symmcd.diffusion.noise_schedule import cosine_alpha_bar, geometric_sigma, reverse_times


@pytest.mark.parametrize("steps", [20, 250, 1000])
def test_cosine_schedule(steps):
    alpha_bar = cosine_alpha_bar(steps)
    assert alpha_bar.shape == (steps + 1,)
    assert alpha_bar[0] == 1
    beta = 1 - alpha_bar[1:] / alpha_bar[:-1]
    assert float(beta.min()) >= 1e-4 - 1e-12
    assert float(beta.max()) <= 0.9999 + 1e-12
    # Nichol & Dhariwal's formula holds wherever nothing was clipped before
    t = steps // 2
    f = [math.cos((x + 0.008) / 1.008 * math.pi / 2) ** 2 for x in (t / steps, 0.0)]
    assert float(alpha_bar[t]) == pytest.approx(f[0] / f[1], rel=2e-3)


def test_sigma_is_geometric():
    sigma = geometric_sigma(1000, 0.005, 0.5)
    assert (float(sigma[0]), float(sigma[1]), float(sigma[-1])) == pytest.approx((0, 0.005, 0.5))
    ratio = sigma[2:] / sigma[1:-1]
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio))


@pytest.mark.parametrize(("training", "steps"), [(1000, 1000), (1000, 250), (1000, 7), (20, 20), (20, 1), (250, 100)])
def test_reverse_times_fall_from_T_to_0(training, steps):
    times = reverse_times(training, steps)
    assert (times[0], times[-1], len(times)) == (training, 0, steps + 1)
    gaps = {a - b for a, b in pairwise(times)}
    assert min(gaps) >= 1
    assert max(gaps) - min(gaps) <= 1
