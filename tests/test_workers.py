"""Work in other processes: limits, crashes, order of taking items; and no process that outlives who started it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from symmcd.errors import SymmcdError
from symmcd.workers import Outcome, work

BEHAVE = "tests.slow_work:behave"
ROOT = Path(__file__).parents[1]


def outcomes(items, workers=2, seconds=1.5, function=BEHAVE) -> list[Outcome]:
    found = dict(work(function, items, workers, seconds))
    return [found[i] for i in range(len(found))]


def test_stuck_and_crashing_items_are_killed_and_the_rest_finished() -> None:
    found = outcomes([0.0, "crash", 0.0, "stuck", "raise", "memory", 60.0, 0.0])
    status = [outcome.status for outcome in found]
    assert status == ["ok", "crashed", "ok", "timed_out", "ZeroDivisionError", "out_of_memory", "timed_out", "ok"]
    assert found[0].value == 0.0
    assert "division" in found[4].detail
    assert "ended with 3" in found[1].detail
    assert "more than 1.5 s" in found[3].detail


@pytest.mark.parametrize("items", [["crash"], ["stuck"], ["crash", "stuck", "crash"], []])
def test_nothing_but_trouble(items) -> None:
    status = {"crash": "crashed", "stuck": "timed_out"}
    assert [outcome.status for outcome in outcomes(items, seconds=1.0)] == [status[item] for item in items]


def test_answers_longer_than_a_pipe_holds() -> None:
    found = outcomes(["large"] * 3 + ["x" * 3_000_000], seconds=30)
    assert [outcome.status for outcome in found] == ["ok"] * 3 + ["ValueError"]
    assert len(found[0].value) == 5_000_000


def test_items_are_taken_one_by_one() -> None:
    taken = []

    def items():
        for number in range(10):
            taken.append(number)
            yield 0.0

    for done, _ in enumerate(work(BEHAVE, items(), 2, 30), start=1):
        assert len(taken) <= done + 4
    assert taken == list(range(10))


def test_a_faulty_source_of_items_is_told() -> None:
    def items():
        yield 0.0
        raise SymmcdError("row 2 is damaged")

    with pytest.raises(SymmcdError, match="row 2"):
        list(work(BEHAVE, items(), 1, 30))


def test_a_limit_is_that_of_a_part_where_parts_are_told() -> None:
    found = outcomes([8, -1, 1], 2, 1.0, "tests.slow_work:in_parts")
    assert [(outcome.status, outcome.value) for outcome in found] == [("ok", 8), ("timed_out", None), ("ok", 1)]


def test_an_idle_process_that_looks_for_modules_elsewhere_is_not_used_again(tmp_path, monkeypatch) -> None:
    """A folder that was put on the path between two calls has modules that it would not find."""
    outcomes([0.0])
    (tmp_path / "work_of_later.py").write_text("def doubled(item):\n    return 2 * item\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert outcomes([21], function="work_of_later:doubled", seconds=30)[0].value == 42


def test_an_idle_process_is_kept_and_a_dead_one_is_not() -> None:
    first, second = (outcomes(["process"])[0].value for _ in range(2))
    assert first == second
    psutil.Process(int(first)).kill()
    psutil.wait_procs([psutil.Process(int(first))], timeout=10) if psutil.pid_exists(int(first)) else None
    (third,) = outcomes(["process"])
    assert (third.status, third.value != first) == ("ok", True)


def test_what_cannot_be_started_is_an_error() -> None:
    with pytest.raises(SymmcdError, match="did not start"):
        list(work("tests.slow_work:missing", [1], 1, 30))


SCRIPT = """
import sys
from symmcd.workers import work
print("begun", flush=True)
for _ in work("tests.slow_work:behave", ["process", *sys.argv[1:]], 2, 3600):
    print("ready", flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels tell no process of its parent's end")
@pytest.mark.parametrize("item", ["stuck", "60"])
def test_processes_end_with_who_started_them(item) -> None:
    """Killed with no chance to clean up, while a process is inside C code that lets no thread of it run."""
    parent = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, item, item], cwd=ROOT, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
    )  # fmt: skip
    children: list[psutil.Process] = []
    try:
        while parent.stdout.readline() not in ("ready\n", ""):
            pass
        children = psutil.Process(parent.pid).children(recursive=True)
        time.sleep(0.5)  # until they are at it
        assert len(children) == 2
        parent.kill()
        parent.wait()
        assert not psutil.wait_procs(children, timeout=20)[1]
    finally:
        parent.kill()
        for child in children:
            if child.is_running():
                child.kill()


def test_a_process_whose_parent_has_gone_already_does_not_begin() -> None:
    code = "from symmcd.processes import end_with_parent; end_with_parent(1 << 22); print('goes on')"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (1, "")
