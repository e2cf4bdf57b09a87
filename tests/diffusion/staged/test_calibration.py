"""A calibrated network expects elements as often as the training set has them, and is changed in nothing else."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from symmcd.diffusion.staged import calibration
from symmcd.diffusion.staged.calibration import calibrate_elements, expected_elements
from symmcd.diffusion.staged.objectives import negative_log_likelihood
from symmcd.diffusion.staged.wyckoff_network import WyckoffNetwork
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences
from symmcd.settings import TrainingSettings
from symmcd.stages import train
from symmcd.storage import write_units
from tests.diffusion.crystals import SMALL_STAGED, random_units

ELEMENTS = [8, 11, 22, 26, 38, 57]  # of `random_units`
INDEX = torch.tensor(ELEMENTS) - 1


def untrained(seed: int, *, deaf: bool = False) -> WyckoffNetwork:
    """A network of random weights; a deaf one says the same everywhere."""
    torch.manual_seed(seed)
    network = WyckoffNetwork(SMALL_STAGED)
    network.seen.fill_(value=False)
    network.seen[INDEX] = True
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    if deaf:
        for layer in (network.element_head, network.element_query):
            torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(network.element_query.bias)
    return network.eval()


def with_shares(units, shares) -> WyckoffSequences:
    element = np.random.default_rng(5).choice(ELEMENTS, len(units.element), p=shares)
    return WyckoffSequences.from_units(dataclasses.replace(units, element=element))


def counts(crystals: WyckoffSequences) -> torch.Tensor:
    return torch.bincount(crystals.element[crystals.mask] - 1, minlength=118).double()


def test_one_round_is_exact_where_no_element_knows_of_another(monkeypatch):
    """One orbit a crystal and logits that are biases alone: the likeliest biases are the logarithms of the shares."""
    monkeypatch.setattr(calibration, "UNSURE", 0.1)
    data = with_shares(random_units(300, largest=1), [0.4, 0.3, 0.1, 0.1, 0.05, 0.05])
    network = untrained(0, deaf=True)
    calibrate_elements(network, data, rounds=1)
    found = network.element_head.bias.detach()[INDEX].double().softmax(0)
    torch.testing.assert_close(found, counts(data)[INDEX] / len(data), rtol=0.02, atol=0)


def test_elements_become_as_frequent_as_they_are_and_the_crystals_likelier():
    data = with_shares(random_units(2000, seed=1), [0.35, 0.25, 0.2, 0.1, 0.06, 0.04])
    network, real = untrained(1), counts(data)
    off, nats = [], []
    for _ in range(8):
        with torch.inference_mode():
            off.append(float((expected_elements(network, data)[INDEX] / real[INDEX]).log().abs().max()))
            nats.append(float(negative_log_likelihood(network, data)[1]))
        calibrate_elements(network, data, rounds=2)
    assert off[0] > 1
    assert off[-1] < 0.02
    assert nats == sorted(nats, reverse=True)
    # the gradient of the likelihood in the shifts is the difference of expected and real numbers
    negative_log_likelihood(network, data)[1].backward()
    with torch.inference_mode():
        difference = expected_elements(network, data) - real
    torch.testing.assert_close(network.element_head.bias.grad.double(), difference, rtol=1e-3, atol=1e-2)


def test_nothing_but_the_biases_of_elements_changes():
    data = WyckoffSequences.from_units(random_units(50))
    network = untrained(2)
    start = {name: value.clone() for name, value in network.state_dict().items()}
    shift = calibrate_elements(network, data, rounds=2)
    for name, value in network.state_dict().items():
        expected = start[name] + shift if name == "element_head.bias" else start[name]
        torch.testing.assert_close(value, expected, rtol=0, atol=1e-6, msg=name)


@pytest.mark.parametrize("rounds", [0, 2])
def test_training_calibrates_and_says_so(tmp_path, capsys, rounds):
    for name, seed in (("train", 1), ("val", 2)):
        write_units(tmp_path / f"{name}.npz", random_units(40, seed=seed))
    settings = TrainingSettings(wyckoff_epochs=1, batch_size=16, calibration_rounds=rounds)
    files = tmp_path / "train.npz", tmp_path / "val.npz"
    for out in ("a", "b"):
        train.run(*files, tmp_path / out, SMALL_STAGED, settings, part="wyckoff", device="cpu")
    assert ("logits of elements shifted" in capsys.readouterr().out) == bool(rounds)
    a, b = (load_file(tmp_path / out / "wyckoff/weights.safetensors") for out in ("a", "b"))
    for name, value in a.items():
        np.testing.assert_array_equal(b[name], value, err_msg=name)
