"""Waiting threads sleep soon: told before torch is loaded, by every command, and not where the user has chosen."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from symmcd.threads import CHOICES, let_threads_sleep

TOLD = "import os, sys; {}; print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"


def printed(code: str, **environment: str) -> str:
    """What `code` prints last in a fresh process without these variables but those given."""
    clean = {name: value for name, value in os.environ.items() if name not in CHOICES}
    command = [sys.executable, "-c", TOLD.format(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=clean | environment)
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("words", [["settings", "run"], ["show", "nowhere"], ["relax", "a", "b", "c"]])
def test_every_command_says_so_before_torch_is_loaded(words):
    code = (
        "from symmcd import cli, threads; told = threads.let_threads_sleep; "
        "cli.let_threads_sleep = lambda: print('before', 'torch' in sys.modules) or told(); "
        f"cli.main({words!r})"
    )
    assert printed(code).startswith("10000")


def test_python_users_get_it_with_the_weights_and_not_at_import():
    assert printed("import symmcd; symmcd.load_pretrained") == "None False"
    assert printed("import symmcd; symmcd.load_pretrained(device='cpu')") == "10000 True"


def test_the_choice_of_the_user_stays(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "torch")
    for name in CHOICES:
        for other in CHOICES:
            monkeypatch.delenv(other, raising=False)
        monkeypatch.setenv(name, "1")
        assert not let_threads_sleep()
        assert os.environ[name] == "1"
        assert sum(other in os.environ for other in CHOICES) == 1


def test_a_process_that_has_torch_keeps_its_environment(monkeypatch):
    for name in CHOICES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "torch", object())
    assert not let_threads_sleep()
    assert not any(name in os.environ for name in CHOICES)
    monkeypatch.delitem(sys.modules, "torch")
    assert let_threads_sleep()
    assert os.environ["GOMP_SPINCOUNT"] == "10000"
    assert not let_threads_sleep()  # said once


def test_the_runtime_hears_it():
    """libgomp writes what it goes by where OMP_DISPLAY_ENV asks for it."""
    code = "from symmcd import load_pretrained; load_pretrained(device='cpu')"
    clean = {name: value for name, value in os.environ.items() if name not in CHOICES} | {"OMP_DISPLAY_ENV": "verbose"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=clean)
    if "GOMP_SPINCOUNT" not in done.stderr:
        pytest.skip("this OpenMP runtime does not tell its settings")
    assert "GOMP_SPINCOUNT = '10000'" in done.stderr
