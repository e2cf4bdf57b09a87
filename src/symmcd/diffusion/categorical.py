"""Discrete diffusion to given marginals, in closed form (Austin et al. 2021; Vignac et al. 2023; paper, appendix D).

A class is kept with probability α_t and otherwise drawn from the marginal m, so every transition matrix is a multiple
of the identity plus one of rank one, Q = α I + (1 - α) 1 mᵀ.  Products of such matrices have the same form, with
ᾱ_t = ∏ α, and no K×K matrix is ever made.  All functions take class indices and broadcast over leading dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot


def draw(probability: Tensor, uniform: Tensor) -> Tensor:
    """Classes with the given probabilities by inversion.

    Args:
        probability: (..., K), not necessarily normalised.
        uniform: (...) in (0, 1).

    Returns:
        (...) class indices; never a class of probability zero.
    """
    # sums are not kept where the probability is zero: CUDA adds in parallel, and need not give such a class its
    # neighbour's sum; the total is the largest one kept, so that rounding never lets a draw fall behind the last class
    cumulative = probability.cumsum(dim=-1).masked_fill(probability <= 0, 0.0)
    return (cumulative > uniform[..., None] * cumulative.amax(dim=-1, keepdim=True)).byte().argmax(dim=-1)


def corrupt(clean: Tensor, alpha_bar: Tensor, marginal: Tensor, uniform: Tensor) -> Tensor:
    """a_t ~ ᾱ_t a_0 + (1 - ᾱ_t) m: forward process from 0 to t.

    Args:
        clean: (...) class indices.
        alpha_bar: broadcasts with `clean`.
        marginal: (..., K).
        uniform: (...) in (0, 1); below ᾱ_t the class stays, and what is above it draws the new one.
    """
    fresh = ((uniform - alpha_bar) / (1 - alpha_bar).clamp_min(1e-12)).clamp(0, 1 - 2**-24)
    return torch.where(uniform < alpha_bar, clean, draw(marginal, fresh))


def posterior(
    noisy: Tensor, clean_probability: Tensor, alpha_bar_s: Tensor, alpha_bar_t: Tensor, marginal: Tensor
) -> Tensor:
    """Σ_l p(a_0 = l) q(a_s | a_t, a_0 = l) for any s < t: one reverse step, of any length.

    With a_t = j and α = ᾱ_t / ᾱ_s, q(i | j, l) = (α δ_ij + (1 - α) m_j) (ᾱ_s δ_li + (1 - ᾱ_s) m_i) / Z_l with
    Z_l = ᾱ_t δ_lj + (1 - ᾱ_t) m_j, so the sum over l needs only w_l = p_l / Z_l and its total.  The probability that
    p gives to classes outside the support of m, which no crystal of the training set has, is taken away first.

    Args:
        noisy: (...) class indices a_t, within the support of m.
        clean_probability: (..., K) p(a_0), predicted.
        alpha_bar_s, alpha_bar_t: broadcast with `noisy`.
        marginal: broadcasts to (..., K).

    Returns:
        (..., K) probabilities of a_s.
    """
    a_s, a_t = alpha_bar_s[..., None], alpha_bar_t[..., None]
    alpha = a_t / a_s
    at_noisy = one_hot(noisy, clean_probability.shape[-1])
    marginal = marginal.expand(clean_probability.shape)
    m_j = marginal.gather(-1, noisy[..., None])
    weight = clean_probability * (marginal > 0) / (a_t * at_noisy + (1 - a_t) * m_j)
    product = (alpha * at_noisy + (1 - alpha) * m_j) * (
        a_s * weight + (1 - a_s) * marginal * weight.sum(dim=-1, keepdim=True)
    )
    return product / product.sum(dim=-1, keepdim=True)
