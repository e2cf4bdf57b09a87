"""Products in bfloat16: where they are chosen, and that they change results by rounding alone."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch

from symmcd.batch import OrbitBatch
from symmcd.diffusion import precision
from symmcd.diffusion.data_statistics import DataStatistics
from symmcd.diffusion.denoiser import Denoiser
from symmcd.diffusion.forward_process import ForwardProcess
from symmcd.diffusion.loss import batch_losses, corrupted
from symmcd.diffusion.precision import choose_precision, lowered, products
from symmcd.diffusion.staged.environment import OrbitPairs
from symmcd.diffusion.staged.flat_crystals import FlatCrystals
from symmcd.diffusion.staged.geometry_network import GeometryNetwork
from symmcd.diffusion.staged.geometry_process import GeometryProcess
from symmcd.diffusion.staged.lattice_scale import LatticeScale
from symmcd.diffusion.staged.objectives import GeometryObjective, WyckoffObjective
from tests.diffusion.crystals import SMALL, SMALL_STAGED, random_state, random_units

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
WEIGHTS = {"lattice": 5.0, "position": 1.0, "element": 0.1, "site_symmetry": 10.0}


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize(
    ("name", "device", "instructions", "width", "expected"),
    [
        ("auto", CUDA, True, 32, torch.bfloat16),
        ("auto", CUDA, False, 1024, torch.float32),
        ("auto", CPU, True, 256, torch.bfloat16),
        ("auto", CPU, True, 255, torch.float32),
        ("auto", CPU, False, 1024, torch.float32),
        ("float32", CUDA, True, 1024, torch.float32),
        ("bfloat16", CPU, False, 32, torch.bfloat16),
    ],
)
def test_auto_takes_what_the_device_is_made_for(monkeypatch, name, device, instructions, width, expected):
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda _: instructions)
    assert choose_precision(name, device, width) is expected


def test_a_torch_that_cannot_tell_has_no_instructions(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not precision.multiplies_bfloat16(CPU)


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, True),  # Intel since Sapphire Rapids
        ({"avx512_bf16": True}, True),  # AMD since Zen 4: torch has no key for AMX there
        ({"amx_bf16": False, "avx512_bf16": False, "avx512_f": True}, False),
        ({"architecture": "aarch64"}, False),
    ],
)
def test_either_set_of_instructions_will_do(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert precision.multiplies_bfloat16(CPU) is expected


def test_a_gpu_that_would_only_emulate_them_has_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *, including_emulation=True: including_emulation)
    assert not precision.multiplies_bfloat16(CUDA)


def trained_heads(network: torch.nn.Module) -> torch.nn.Module:
    torch.manual_seed(1)
    for parameter in network.parameters():  # what starts at zero would hide the rest
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return network


def test_a_lowered_network_predicts_what_autocast_does():
    """Weights lowered once or in every call: the very same numbers, near those of float32."""
    torch.manual_seed(0)
    network, state, time = trained_heads(Denoiser(SMALL)), random_state(8), torch.arange(1, 9)
    once = lowered(copy.deepcopy(network), torch.bfloat16)
    with torch.inference_mode():
        exact = network(state, time)
        with products(CPU, torch.bfloat16):
            found, each_call = once(state, time), network(state, time)
    for field in dataclasses.fields(exact):
        values = [getattr(prediction, field.name) for prediction in (found, each_call, exact)]
        assert values[0].dtype == torch.float32
        torch.testing.assert_close(values[0], values[1], rtol=0, atol=0)
        assert relative(values[0], values[2]) < 0.05


def test_float32_is_left_alone():
    network = Denoiser(SMALL)
    before = copy.deepcopy(network.state_dict())
    assert all(torch.equal(value, before[name]) for name, value in lowered(network, torch.float32).state_dict().items())


def test_a_geometry_is_predicted_alike():
    """Distances keep all their digits: only the network rounds."""
    torch.manual_seed(0)
    crystals = FlatCrystals.from_units(random_units(12))
    scale = LatticeScale.of(crystals)
    network = trained_heads(GeometryNetwork(SMALL_STAGED))
    pairs, z = OrbitPairs.of(crystals), scale.standardise(crystals)
    time = torch.randint(1, 20, (len(crystals),))
    predictions = []
    with torch.inference_mode():
        for dtype in (torch.float32, torch.bfloat16):
            process = GeometryProcess(SMALL_STAGED, scale, dtype)
            with products(CPU, dtype):
                predictions.append(process.predict(network, crystals, pairs, z, crystals.u, time))
    exact, rounded = predictions
    assert rounded.score.dtype == rounded.lattice_noise.dtype == torch.float32
    assert 0 < relative(rounded.lattice_noise, exact.lattice_noise) < 0.05
    assert 0 < relative(rounded.score, exact.score) < 0.05


def test_gradients_of_a_joint_batch_point_the_same_way():
    units = random_units(24)
    torch.manual_seed(0)
    network = trained_heads(Denoiser(SMALL))
    batch = corrupted(ForwardProcess(SMALL, DataStatistics.of(units)), OrbitBatch.from_units(units), seed=3)
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        network.zero_grad()
        losses = batch_losses(network, *batch, WEIGHTS, backward=True, precision=dtype)
        found.append((losses["total"], torch.cat([p.grad.flatten() for p in network.parameters()])))
    (exact_loss, exact), (loss, rounded) = found
    assert 0 < abs(loss - exact_loss) < 0.02 * exact_loss
    assert rounded.dtype == torch.float32
    assert torch.cosine_similarity(exact, rounded, dim=0) > 0.99


@pytest.mark.parametrize("objective", [GeometryObjective, WyckoffObjective])
def test_objectives_of_a_staged_model_take_the_precision_asked_for(objective):
    units, rows = random_units(24), torch.arange(24)
    found = []
    for name in ("float32", "bfloat16"):
        torch.manual_seed(0)
        made = objective(SMALL_STAGED, units, units, CPU, name)
        found.append(made.losses(made.network, rows, 0, backward=True)["total"])
    assert 0 < abs(found[1] - found[0]) < 0.02 * abs(found[0])
