"""Work on many items in other processes, each item under a time limit; a stuck or crashed process is replaced.

`concurrent.futures` cannot end a task that hangs in C code.  Processes are started as programs of
their own rather than by `multiprocessing`, so that a script of a user needs no guard around its main part.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symmcd.errors import SymmcdError

START_SECONDS = 120.0
"""For a process to import its function."""


@dataclass(frozen=True)
class Outcome:
    """What became of an item: ``ok`` with a value, ``timed_out``, ``crashed``, or the reason of an error."""

    status: str
    value: Any = None
    detail: str = ""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def work(function: str, items: Sequence[Any], workers: int, seconds: float) -> Iterator[tuple[int, Outcome]]:
    """Outcomes of `function` on each item, with the item's index, as they come.

    Args:
        function: ``module:name``; takes one item.  An exception's attribute `reason`, or its type, becomes the status.
        items: anything that can be pickled.
        workers: processes.
        seconds: wall-clock limit an item.

    Raises:
        SymmcdError: a process does not start.
    """
    waiting = iter(enumerate(items))
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _ in range(min(workers, len(items))):
            stack.callback(_Worker.end_current, slot := _Slot())
            slot.worker = _Worker(function)
            selector.register(slot.worker.answers, selectors.EVENT_READ, slot)
        while selector.get_map():
            slots = [key.data for key in selector.get_map().values()]
            soonest = min(slot.worker.deadline for slot in slots)
            ready = [key.data for key, _ in selector.select(max(0.0, soonest - time.monotonic()))]
            for slot in slots:
                worker = slot.worker
                if slot in ready:
                    outcome = worker.receive()
                elif time.monotonic() >= worker.deadline:
                    outcome = Outcome("timed_out", detail=f"more than {seconds:g} s")
                else:
                    continue
                if worker.index is not None and outcome is not None:
                    yield worker.index, outcome
                if outcome is None or outcome.status not in ("timed_out", "crashed"):
                    following = next(waiting, None)
                    if following is None:
                        selector.unregister(worker.answers)
                    else:
                        worker.give(*following, seconds)
                    continue
                if worker.index is None:
                    raise SymmcdError(f"a process for {function} did not start: {outcome.status}")
                selector.unregister(worker.answers)
                worker.end()
                slot.worker = _Worker(function)
                selector.register(slot.worker.answers, selectors.EVENT_READ, slot)


class _Slot:
    """A place for one process at a time."""

    worker: _Worker


class _Worker:
    """One process; it answers when it is ready (with None) and after each item."""

    def __init__(self, function: str) -> None:
        source = str(Path(__file__).parents[2])
        path = os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import sys; from symmcd.metrics import workers; workers.serve(sys.argv[1])",
                function,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._tasks, self.answers = self._process.stdin, self._process.stdout
        self.index: int | None = None
        self.deadline = time.monotonic() + START_SECONDS

    def give(self, index: int, item: Any, seconds: float) -> None:
        self.index, self.deadline = index, time.monotonic() + seconds
        with contextlib.suppress(BrokenPipeError):  # it died while idle; `receive` will find that
            pickle.dump(item, self._tasks)
            self._tasks.flush()

    def receive(self) -> Outcome | None:
        try:
            return pickle.load(self.answers)  # noqa: S301  (from our own process)
        except (EOFError, pickle.UnpicklingError):
            return Outcome("crashed", detail=f"process ended with {self._process.wait()}")

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):
            self._tasks.close()
        self.answers.close()

    @staticmethod
    def end_current(slot: _Slot) -> None:
        if hasattr(slot, "worker"):
            slot.worker.end()


def serve(name: str) -> None:
    """Answer items on standard input until it is closed; whatever the function prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    module, _, attribute = name.partition(":")
    function = getattr(importlib.import_module(module), attribute)
    pickle.dump(None, answers)
    answers.flush()
    while True:
        try:
            item = pickle.load(sys.stdin.buffer)  # noqa: S301  (from our own process)
        except EOFError:
            return
        try:
            outcome = Outcome("ok", function(item))
        except Exception as error:  # noqa: BLE001  (one broken item must not end the others; its outcome says why)
            detail = getattr(error, "detail", "") or str(error)
            outcome = Outcome(getattr(error, "reason", type(error).__name__), detail=detail.replace("\n", " "))
        pickle.dump(outcome, answers)
        answers.flush()
