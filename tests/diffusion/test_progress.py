"""What is left is told by work, where crystals make different amounts of it."""

from __future__ import annotations

import pytest

from symmcd.diffusion import progress as module
from symmcd.diffusion.progress import StepProgress


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_time_left_by_number_and_by_work(clock, capsys):
    progress = StepProgress("crystal", 100, 20)
    clock[0] = 60.0
    progress.update(40)  # 20 of the 80 to do
    clock[0] = 120.0
    progress.update(80, work=(1.0, 4.0))  # a quarter of the work in two minutes
    clock[0] = 180.0
    progress.update(80, work=(0.0, 4.0))
    clock[0] = 240.0
    progress.update(80, work=(0.03, 4.0))  # less than a hundredth: all that took so long may have been the start
    said = capsys.readouterr().err.splitlines()
    assert said == ["crystal 40/100, 3 min 00 s left", "crystal 80/100, 6 min 00 s left", "crystal 80/100, ? left",
                    "crystal 80/100, ? left"]  # fmt: skip
