"""A calibrated network draws elements as often as the training set has them, and is changed in nothing else."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from symmcd.diffusion.staged.calibration import UNSURE, calibrate_elements, expected_elements
from symmcd.diffusion.staged.wyckoff_network import WyckoffNetwork
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences
from symmcd.settings import TrainingSettings
from symmcd.stages import train
from symmcd.storage import write_units
from tests.diffusion.crystals import SMALL_STAGED, random_units

ELEMENTS = [8, 11, 22, 26, 38, 57]  # of `random_units`


def untrained(seed: int, *, deaf: bool = False) -> WyckoffNetwork:
    """A network of random weights; a deaf one says the same everywhere."""
    torch.manual_seed(seed)
    network = WyckoffNetwork(SMALL_STAGED)
    network.seen.fill_(value=False)
    network.seen[torch.tensor(ELEMENTS) - 1] = True
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    if deaf:
        for layer in (network.element_head, network.element_query):
            torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(network.element_query.bias)
    return network.eval()


def with_shares(units, shares):
    rng = np.random.default_rng(5)
    return WyckoffSequences.from_units(
        dataclasses.replace(units, element=rng.choice(ELEMENTS, len(units.element), p=shares))
    )


def test_one_round_is_exact_where_no_element_knows_of_another():
    """One orbit a crystal and logits that are biases alone: p ∝ p_before (real + u)/(drawn + u), by hand."""
    data = with_shares(random_units(300, largest=1), [0.4, 0.3, 0.1, 0.1, 0.05, 0.05])
    network = untrained(0, deaf=True)
    index = torch.tensor(ELEMENTS) - 1
    before = network.element_head.bias.detach()[index].double().softmax(0)
    calibrate_elements(network, data, rounds=1, seed=0)
    real = torch.bincount(data.element[data.mask] - 1, minlength=118)[index].double()
    ratio = (real + UNSURE) / (len(data) * before + UNSURE)
    expected = before * ratio / (before * ratio).sum()
    found = network.element_head.bias.detach()[index].double().softmax(0)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_shares_of_drawn_crystals_become_those_of_the_training_set():
    data = with_shares(random_units(3000, seed=1), [0.35, 0.25, 0.2, 0.1, 0.06, 0.04])
    network = untrained(1)
    real = torch.bincount(data.element[data.mask] - 1, minlength=118).double()

    def largest_ratio() -> float:
        with torch.inference_mode():
            drawn = expected_elements(network, data, seed=99)  # random numbers that the fit has not seen
        index = torch.tensor(ELEMENTS) - 1
        return float((drawn[index] / real[index]).log().abs().max())

    assert largest_ratio() > 2
    calibrate_elements(network, data, rounds=6, seed=0)
    assert largest_ratio() < 0.1


def test_nothing_but_the_biases_of_elements_changes_and_the_seed_decides():
    data = WyckoffSequences.from_units(random_units(50))
    first, second, other = (untrained(2) for _ in range(3))
    start = {name: value.clone() for name, value in first.state_dict().items()}
    shifts = [calibrate_elements(n, data, rounds=2, seed=s) for n, s in ((first, 0), (second, 0), (other, 1))]
    torch.testing.assert_close(shifts[0], shifts[1], rtol=0, atol=0)
    assert not torch.equal(shifts[0], shifts[2])
    for name, value in first.state_dict().items():
        if name == "element_head.bias":
            torch.testing.assert_close(value, start[name] + shifts[0])
        else:
            assert torch.equal(value, start[name]), name


def test_probabilities_expected_are_those_drawn():
    """Mean probabilities along drawn crystals, and counts of what was drawn: two estimates of one number."""
    data = WyckoffSequences.from_units(random_units(2000, seed=3))
    network = untrained(3)
    with torch.inference_mode():
        sums = [expected_elements(network, data, seed) for seed in (0, 1)]
    total = int(data.count.sum())
    assert float(sums[0].sum()) == pytest.approx(total, rel=1e-5)
    assert float(sums[0][~network.seen].sum()) == 0
    torch.testing.assert_close(sums[0], sums[1], rtol=0.1, atol=0.01 * total)


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
