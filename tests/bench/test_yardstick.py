"""The yardstick is the same function as our network, so that their times compare."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from symmcd.diffusion.denoiser import Denoiser
from tests.diffusion.crystals import SMALL, random_state

pytest.importorskip("torch_geometric", reason="the yardstick needs torch-geometric")


def test_predictions_and_gradients_agree():
    from torch_geometric_yardstick import Yardstick

    torch.manual_seed(0)
    ours = Denoiser(SMALL).double()
    for name, parameter in ours.named_parameters():
        if "head" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    theirs = Yardstick(ours).double()
    state, time = random_state(12), torch.arange(1, 13)
    state = dataclasses.replace(state, z=state.z.double(), position=state.position.double())
    a, b = ours(state, time), theirs(state, time)
    torch.testing.assert_close(b.lattice_noise, a.lattice_noise)
    for name in ("position_score", "element", "site_symmetry"):
        torch.testing.assert_close(getattr(b, name)[state.mask], getattr(a, name)[state.mask])
    for prediction in (a, b):
        parts = [value[state.mask] if value.dim() > 2 else value for value in vars(prediction).values()]
        sum((value**2).sum() for value in parts).backward()
    for mine, yardstick in zip(ours.layers, theirs.layers, strict=True):
        weights = [mine.receiver, mine.sender, mine.lattice, mine.pair]
        joint = torch.cat([linear.weight.grad for linear in weights], dim=1)
        torch.testing.assert_close(yardstick.message_mlp[0].weight.grad, joint)
        torch.testing.assert_close(yardstick.update_mlp[2].weight.grad, mine.update_out.weight.grad)
