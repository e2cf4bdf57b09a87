"""Scripts of bench/ and bench/study/ can be imported by their names."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def bench_on_path(monkeypatch):
    bench = Path(__file__).parents[2] / "bench"
    for folder in (bench / "study", bench):
        monkeypatch.syspath_prepend(str(folder))
