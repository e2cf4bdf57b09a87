"""A batch that goes through in lots has the losses and gradients of the whole."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy as reference

from symmcd.diffusion import loss
from symmcd.diffusion.distributed import Process
from tests.diffusion.one_of_several import gradients


@pytest.mark.parametrize("pairs", [1, 60])
def test_lots_add_up_to_the_batch(monkeypatch, pairs):
    expected, whole = gradients(25, Process())
    monkeypatch.setitem(loss.PAIRS_AT_ONCE, "cpu", pairs)
    found, losses = gradients(25, Process())
    assert losses == pytest.approx(whole, rel=1e-5)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5)


def test_cross_entropy_is_that_of_torch():
    logits, label = 20 * torch.randn(4, 5, 13), torch.randint(0, 13, (4, 5))
    expected = reference(logits.flatten(0, 1), label.flatten(), reduction="none").view(4, 5)
    torch.testing.assert_close(loss.cross_entropy(logits, label), expected, rtol=1e-5, atol=1e-5)
