"""A few damaged files for every reader, and proof that the harness sees what it looks for (`make test-fuzz`)."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fuzz import run, worker
from tests.fuzz.kinds import KINDS, Kind, damaged

INPUTS = 300


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_read_or_refused_in_one_line(kind, tmp_path):
    bad = []
    for number in range(run.shares(INPUTS, list(KINDS))[kind]):
        found = worker.attempt(kind, 0, number, tmp_path)
        if found["outcome"] not in ("read", "refused"):
            bad.append((number, found))
    assert not bad


def test_inputs_are_the_same_for_a_seed_and_not_for_another():
    for kind in ("cif", "zip", "jsonstruct", "npzfield"):
        assert damaged(kind, 3, 7) == damaged(kind, 3, 7)
        assert len({damaged(kind, seed, 7) for seed in range(5)}) > 1


def crash(path: Path) -> None:
    path.read_bytes()[10**9]


def hoard(path: Path) -> None:
    bytearray(2 * worker.BLOWN)


@pytest.mark.parametrize(("read", "outcome"), [(crash, "crash"), (hoard, "memory")])
def test_the_harness_sees_a_crash_and_a_blow_up(read, outcome, tmp_path, monkeypatch):
    monkeypatch.setitem(KINDS, "bad", Kind("bad", 1, ".txt", lambda _: b"x", read))
    assert worker.attempt("bad", 0, 0, tmp_path)["outcome"] == outcome


FAKE = """
import json, os, signal, sys, time
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    kind, seed, first, count = line.split()
    for number in range(int(first), int(first) + int(count)):
        print(json.dumps({"at": number}), flush=True)
        if number == 2: time.sleep(60)
        if number == 4: os.kill(os.getpid(), signal.SIGSEGV)
        print(json.dumps({"outcome": "read", "detail": ""}), flush=True)
"""


def test_a_hanging_or_dying_worker_costs_one_input(tmp_path, monkeypatch):
    start = run.subprocess.Popen
    monkeypatch.setattr(
        run.subprocess, "Popen", lambda command, **keywords: start([command[0], "-c", FAKE], **keywords)
    )
    monkeypatch.setattr(run, "SECONDS", 1.0)
    counts = run.fuzz({"cif": 7}, 0, 1, tmp_path / "failing")
    assert counts["cif"] == {"read": 5, "hang": 1, "crash": 1}
    assert {path.name for path in (tmp_path / "failing").iterdir()} == {"cif-0-2-hang.cif", "cif-0-4-crash.cif"}
