"""The closed forms against products of the transition matrices they stand for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from symmcd.diffusion.categorical import corrupt, draw, posterior
from symmcd.diffusion.noise_schedule import cosine_alpha_bar

K, T = 5, 12


def transition_matrices(marginal: np.ndarray, alpha_bar: np.ndarray) -> list[np.ndarray]:
    """Q_1 … Q_T with rows a_{t-1} and columns a_t."""
    alpha = alpha_bar[1:] / alpha_bar[:-1]
    return [a * np.eye(K) + (1 - a) * np.tile(marginal, (K, 1)) for a in alpha]


def random_marginal(rng: np.random.Generator) -> np.ndarray:
    return rng.dirichlet(np.ones(K))


@given(st.integers(0, 10**6), st.data())
def test_posterior_is_that_of_the_matrix_products(seed, data):
    rng = np.random.default_rng(seed)
    marginal, clean = random_marginal(rng), rng.dirichlet(np.ones(K))
    alpha_bar = cosine_alpha_bar(T).numpy()
    t = data.draw(st.integers(1, T))
    s = data.draw(st.integers(0, t - 1))
    q = transition_matrices(marginal, alpha_bar)
    to_s, s_to_t = (np.linalg.multi_dot([np.eye(K), np.eye(K), *m]) for m in (q[:s], q[s:t]))
    to_t = to_s @ s_to_t
    noisy = data.draw(st.integers(0, K - 1))
    expected = sum(clean[l] * to_s[l] * s_to_t[:, noisy] / to_t[l, noisy] for l in range(K))  # Bayes, a_0 by a_0
    found = posterior(
        torch.tensor(noisy),
        torch.tensor(clean),
        torch.tensor(alpha_bar[s]),
        torch.tensor(alpha_bar[t]),
        torch.tensor(marginal),
    )
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-12)


def test_forward_frequencies_are_those_of_the_matrix_products():
    rng = np.random.default_rng(0)
    marginal, alpha_bar = random_marginal(rng), cosine_alpha_bar(T).numpy()
    n = 200_000
    for t in (1, 6, T):
        product = np.linalg.multi_dot([np.eye(K), np.eye(K), *transition_matrices(marginal, alpha_bar)[:t]])
        clean = torch.full((n,), 2)
        noisy = corrupt(clean, torch.tensor(alpha_bar[t]), torch.tensor(marginal), torch.rand(n, dtype=torch.float64))
        share = np.bincount(noisy, minlength=K) / n
        np.testing.assert_allclose(share, product[2], atol=5 * np.sqrt(0.25 / n))


def test_classes_outside_the_support_never_come():
    marginal = torch.tensor([0.0, 0.7, 0.3, 0.0])
    uniform = torch.cat([torch.rand(1000), torch.tensor([1e-7, 1 - 2**-24])])
    assert set(draw(marginal, uniform).tolist()) == {1, 2}
    everywhere = torch.full((4,), 0.25)  # a network that does not know it
    a_s, a_t = torch.tensor(0.6), torch.tensor(0.2)
    for noisy in (1, 2):
        found = posterior(torch.tensor(noisy), everywhere, a_s, a_t, marginal)
        assert found[0] == found[3] == 0
        assert found.sum() == pytest.approx(1)


def test_draw_is_inversion():
    probability = torch.tensor([0.2, 0.0, 0.5, 0.3])
    assert draw(probability, torch.tensor([0.1, 0.19, 0.21, 0.69, 0.71, 0.999])).tolist() == [0, 0, 2, 2, 3, 3]


def test_sums_of_another_order_draw_no_class_of_probability_zero(monkeypatch):
    """CUDA's parallel sums may differ in the last bit from class to class, where no probability lies between."""
    probability = torch.tensor([0.0, 0.3, 0.0, 0.0, 0.7, 0.0]).expand(2**12, -1)
    exact = probability.cumsum(dim=-1)
    uneven = exact + torch.tensor([1e-7, 0.0, 6e-8, -6e-8, 0.0, 1e-7])
    monkeypatch.setattr(torch.Tensor, "cumsum", lambda self, dim: uneven)  # noqa: ARG005
    uniform = torch.cat([torch.rand(2**12 - 3), torch.tensor([1e-9, 0.30000001, 1 - 2**-24])])
    assert set(draw(probability, uniform).tolist()) == {1, 4}
