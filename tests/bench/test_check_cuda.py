"""The script that compares CUDA with a CPU says yes to two equal devices and no to a device that errs."""

from __future__ import annotations

import re

import pytest
import torch

SMALL = ["--device", "cpu", "--width", "32", "--layers", "2", "--frequencies", "4", "--crystals", "12"]


def test_a_device_agrees_with_itself(capsys):
    import check_cuda

    assert check_cuda.main(SMALL) == 0
    assert "the devices agree" in capsys.readouterr().out


@pytest.mark.parametrize("error", [1e-3, float("nan")])
@pytest.mark.parametrize(
    ("function", "output"), [("outputs", "predicted score"), ("staged_outputs", "score of free coordinates")]
)
def test_an_error_is_seen(capsys, monkeypatch, error, function, output):
    import check_cuda

    exact, calls = getattr(check_cuda, function), []

    def wrong(*arguments):
        values = exact(*arguments)
        calls.append(arguments)
        if len(calls) == 2:
            score = values[output].clone()
            score[0] += error * score.abs().max()
            values[output] = score
        return values

    monkeypatch.setattr(check_cuda, function, wrong)
    assert check_cuda.main(SMALL) == 1
    assert re.search(rf"{output} +(nan|inf|\S+e\S+)  above", capsys.readouterr().out)


def test_coordinates_are_periodic_and_flipped_draws_few():
    import check_cuda

    near, far = torch.tensor([0.0, 0.5]), torch.tensor([1 - 1e-6, 0.5])
    difference, limit = check_cuda.disagreement("coordinates after a step", near, far)
    assert difference < limit
    classes = torch.zeros(10_000, dtype=torch.int64)
    flipped = classes.clone()
    flipped[:5] = 1
    difference, limit = check_cuda.disagreement("elements", flipped, classes)
    assert difference == pytest.approx(5e-4)
    assert difference < limit
