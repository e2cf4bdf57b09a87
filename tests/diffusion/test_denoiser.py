"""What must not change a prediction, what must, and that the split maps are the MLP of the paper."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from torch.nn.functional import silu

from symmcd import config
from symmcd.batch import NoisyBatch
from symmcd.diffusion.denoiser import Denoiser, MessageLayer, Senders, fourier, pair_features
from symmcd.diffusion.pair_blocks import Blocks, add_ends, received
from tests.diffusion.crystals import SMALL, random_state

ROOT = Path(__file__).parents[2]


def network(**changes) -> Denoiser:
    """A small network in float64 with random heads (they start at zero)."""
    torch.manual_seed(0)
    denoiser = Denoiser(dataclasses.replace(SMALL, **changes)).double()
    for name, parameter in denoiser.named_parameters():
        if "head" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return denoiser.eval()


def double(batch: NoisyBatch) -> NoisyBatch:
    return dataclasses.replace(batch, z=batch.z.double(), position=batch.position.double())


@torch.no_grad()
def test_padding_and_company_change_nothing():
    denoiser, time = network(), torch.arange(1, 9)
    state = double(random_state(8))
    prediction = denoiser(state, time)
    for i in range(8):
        m = int(state.count[i])
        alone = denoiser(state.select(torch.tensor([i]), m), time[i : i + 1])
        torch.testing.assert_close(alone.lattice_noise[0], prediction.lattice_noise[i])
        for name in ("position_score", "element", "site_symmetry"):
            torch.testing.assert_close(getattr(alone, name)[0], getattr(prediction, name)[i, :m])


@torch.no_grad()
def test_permuted_orbits_permute_the_prediction():
    denoiser = network()
    state = double(random_state(30, largest=5))
    state = state.select((state.count == 5).nonzero()[:, 0], 5)
    assert len(state) > 1
    order = torch.tensor([3, 0, 4, 1, 2])
    moved = dataclasses.replace(state, **{name: getattr(state, name)[:, order] for name in NoisyBatch.PER_ORBIT})
    time = torch.full((len(state),), 5)
    before, after = denoiser(state, time), denoiser(moved, time)
    torch.testing.assert_close(after.lattice_noise, before.lattice_noise)
    for name in ("position_score", "element", "site_symmetry"):
        torch.testing.assert_close(getattr(after, name), getattr(before, name)[:, order])


@torch.no_grad()
def test_whole_translations_change_nothing_and_everything_else_is_seen():
    denoiser, state, time = network(), double(random_state(8)), torch.full((8,), 5)
    before = denoiser(state, time)

    def changed(**fields) -> float:
        after = denoiser(dataclasses.replace(state, **fields), time)
        return float((after.lattice_noise - before.lattice_noise).abs().max())

    assert changed(position=state.position + 3) < 1e-6
    shifted = state.position.clone()
    shifted[:, 0] += 0.1
    assert changed(position=shifted) > 1e-4
    assert changed(z=state.z + 0.1) > 1e-4
    assert changed(space_group=state.space_group % 230 + 1) > 1e-4
    assert changed(element=torch.where(state.mask, 5, 0)) > 1e-4
    assert changed(site_symmetry=(state.site_symmetry + 1) % 13) > 1e-4
    later = denoiser(state, time + 1)
    assert float((later.lattice_noise - before.lattice_noise).abs().max()) > 1e-5


def test_pair_features_are_fourier_features_of_the_differences():
    position = torch.rand(2, 4, 3, dtype=torch.float64)
    found = pair_features(*fourier(position, 6))
    difference = position[:, :, None] - position[:, None]
    n = torch.arange(1, 7)
    angle = (2 * math.pi * difference[..., None] * n).flatten(-2)
    torch.testing.assert_close(found, torch.cat([angle.sin(), angle.cos()], dim=-1).flatten(0, 2))


@torch.no_grad()
def test_a_layer_is_the_formula_of_the_paper():
    """φ_m of the concatenated [h_i, h_j, k, ψ], pair by pair, against the split linear maps."""
    torch.manual_seed(0)
    layer = MessageLayer(SMALL).double()
    h = torch.randn(3, 32, dtype=torch.float64)
    k = torch.randn(6, dtype=torch.float64)
    pair = pair_features(*fourier(torch.rand(1, 3, 3, dtype=torch.float64), 4))
    joint = torch.cat([layer.receiver.weight, layer.sender.weight, layer.lattice.weight, layer.pair.weight], dim=1)
    n = layer.norm(h)
    expected = []
    for i in range(3):
        messages = [
            silu(layer.message(silu(joint @ torch.cat([n[i], n[j], k, pair[3 * i + j]]) + layer.receiver.bias)))
            for j in range(3)
        ]
        expected.append(h[i] + silu(layer.update_out(silu(layer.update(torch.cat([n[i], sum(messages)]))))))
    mask = torch.ones(3, dtype=torch.float64)
    senders = Senders(Blocks(((1, 3),)), mask, (True,))
    torch.testing.assert_close(layer(h, pair, k.expand(3, 6), senders), torch.stack(expected))


def test_every_parameter_learns():
    denoiser = network().train()
    prediction = denoiser(double(random_state(8)), torch.arange(1, 9))
    sum((value**2).sum() for value in vars(prediction).values()).backward()
    for name, parameter in denoiser.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().max()) > 0, name


def test_paper_scale_has_the_size_that_the_authors_report():
    """60.4 M by the study of the original; ours lacks an unused layer and adds an MLP here and there."""
    paper = config.read_config(config.read_config_file(ROOT / "config" / "paper.yaml"))["model"]
    with torch.device("meta"):
        parameters = sum(p.numel() for p in Denoiser(paper).parameters())
    assert parameters == pytest.approx(60.4e6, rel=0.05)


@torch.no_grad()
def test_states_of_any_shape_go_together():
    """Laid flat block by block, some padded and some not, against each state on its own."""
    denoiser = network()
    parts = [double(random_state(8)), double(random_state(3, seed=1)), double(random_state(1, seed=2))]
    parts.append(parts[1].select(parts[1].count.argmax()[None]))
    times = [torch.arange(1, len(part) + 1) for part in parts]
    flat, mask = denoiser.together(parts, times), torch.cat([part.mask.flatten() for part in parts])
    alone = [denoiser(part, time) for part, time in zip(parts, times, strict=True)]
    torch.testing.assert_close(flat.lattice_noise, torch.cat([p.lattice_noise for p in alone]))
    for name in ("position_score", "element", "site_symmetry"):
        expected = torch.cat([getattr(p, name).flatten(0, 1) for p in alone])
        torch.testing.assert_close(getattr(flat, name)[mask], expected[mask])


def test_gradients_of_the_sums_over_pairs():
    """Those written by hand against differences, with a padded block beside a full one."""
    blocks = Blocks(((2, 3), (1, 2)))
    mask = torch.tensor([1, 1, 0, 1, 1, 1, 1, 1], dtype=torch.float64)
    values = [torch.randn(n, 2, dtype=torch.float64, requires_grad=True) for n in (22, 8, 8)]

    def total(message, receiver, sender):
        message = add_ends(message * 1, receiver, sender, blocks)
        return received(message, mask, (False, True), blocks)

    assert torch.autograd.gradcheck(total, values)
    message, receiver, sender = values
    expected = message[:18].view(2, 3, 3, 2) + receiver[:6].view(2, 3, 1, 2) + sender[:6].view(2, 1, 3, 2)
    expected = (expected * mask[:6].view(2, 1, 3, 1)).sum(dim=2).flatten(0, 1)
    torch.testing.assert_close(total(*values)[:6], expected)


def test_bfloat16_products_are_near_those_of_float32():
    """As on CUDA, where products run in bfloat16: sums over pairs by hand must take that, forwards and backwards."""
    denoiser, state, time = network().float(), random_state(8), torch.arange(1, 9)
    found = []
    for enabled in (False, True):
        denoiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            prediction = denoiser(state, time)
        assert all(value.dtype == torch.float32 for value in vars(prediction).values())
        sum((value**2).mean() for value in vars(prediction).values()).backward()
        gradients = [p.grad for name, p in denoiser.named_parameters() if "layers" in name and p.grad is not None]
        found.append([prediction.lattice_noise.detach(), *gradients])
    for exact, rounded in zip(*found, strict=True):
        assert float((rounded - exact).norm() / exact.norm()) < 0.05
