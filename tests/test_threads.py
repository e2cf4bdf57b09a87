"""Waiting threads sleep soon: told before torch is loaded, by every command, and not where the user has chosen."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from symmcd import threads
from symmcd.threads import CHOICES, cores_are_taken, let_threads_sleep

TOLD = "import os, sys; {}; print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"


def printed(code: str, **environment: str) -> str:
    """What `code` prints last in a fresh process without these variables but those given."""
    clean = {name: value for name, value in os.environ.items() if name not in CHOICES}
    command = [sys.executable, "-c", TOLD.format(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=clean | environment)
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("words", [["settings", "run"], ["show", "nowhere"], ["score", "a", "--output", "b"]])
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


@pytest.mark.parametrize(
    ("scheduled", "taken"),
    [("80 500 7", True), ("80 79 7", False), ("80 2 7", False), ("0 0 0", False), ("", False), ("not numbers", False)],
)
def test_a_process_that_waits_longer_than_it_runs_finds_the_cores_taken(tmp_path, scheduled, taken):
    path = tmp_path / "schedstat"
    path.write_text(scheduled)
    assert cores_are_taken(path) is taken
    assert not cores_are_taken(tmp_path / "none")


def test_one_thread_where_cores_are_taken_and_nobody_has_chosen(monkeypatch):
    for name in (*CHOICES, "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(threads, "cores_are_taken", lambda: True)
    assert let_threads_sleep()
    assert os.environ["OMP_NUM_THREADS"] == "1"
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert not let_threads_sleep()
    assert os.environ["OMP_NUM_THREADS"] == "2"
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(threads, "cores_are_taken", lambda: False)
    assert not let_threads_sleep()
    assert "OMP_NUM_THREADS" not in os.environ


def test_the_runtime_hears_it():
    """libgomp writes what it goes by where OMP_DISPLAY_ENV asks for it."""
    code = "from symmcd import load_pretrained; load_pretrained(device='cpu')"
    clean = {name: value for name, value in os.environ.items() if name not in CHOICES} | {"OMP_DISPLAY_ENV": "verbose"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=clean)
    if "GOMP_SPINCOUNT" not in done.stderr:
        pytest.skip("this OpenMP runtime does not tell its settings")
    assert "GOMP_SPINCOUNT = '10000'" in done.stderr
