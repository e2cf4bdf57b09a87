"""The benchmark of a busy machine: burners end with it, runs that take too long are ended, and cells tell so."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
from bench import busy


def test_burners_end_with_the_block():
    with busy.burners(2):
        burning = [process for process in psutil.Process().children() if busy.BURNER in process.cmdline()]
        assert len(burning) == 2
    assert not any(process.is_running() and process.status() != "zombie" for process in burning)


def test_burners_end_with_a_killed_parent():
    code = "import sys, time; from bench import busy\nwith busy.burners(1): print(flush=True); time.sleep(60)"
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=Path(busy.__file__).parents[1], env=dict(os.environ)
    )
    parent.stdout.readline()
    (burner,) = psutil.Process(parent.pid).children()
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 30
    while burner.is_running() and burner.status() != "zombie" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not (burner.is_running() and burner.status() != "zombie")


def test_cells():
    assert busy.cell(3.0, 2.0, 60) == "3.0 (1.50)"
    assert busy.cell(3.0, None, 60) == "3.0"
    assert busy.cell(float("inf"), 2.0, 60) == "above 60"
