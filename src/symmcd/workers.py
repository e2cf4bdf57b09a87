"""Work on many items in other processes, each item under a time limit; a stuck or crashed process is replaced.

`concurrent.futures` cannot end a task that hangs in C code.  Processes are started as programs of
their own rather than by `multiprocessing`, so that a script of a user needs no guard around its main part.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import pickle
import selectors
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symmcd.errors import SymmcdError
from symmcd.processes import end_with_parent
from symmcd.registry import loaded

START_SECONDS = 120.0
"""Time that a process has to start and to import its function."""
OF_THE_MACHINE = ("timed_out", "crashed", "out_of_memory")
"""Outcomes that depend on the machine: nothing to be kept for later."""
_ALIVE = "alive"
_LENGTH = struct.Struct(">Q")


@dataclass(frozen=True)
class Outcome:
    """Outcome of an item: ``ok`` with a value, one of `OF_THE_MACHINE`, or the reason of an error."""

    status: str
    value: Any = None
    detail: str = ""

    @property
    def failure(self) -> str:
        """Status of an item that is not ``ok``, as tables have it: one of `OF_THE_MACHINE`, or ``failed:<reason>``."""
        return self.status if self.status in OF_THE_MACHINE else f"failed:{self.status}"


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def work(function: str, items: Iterable[Any], workers: int, seconds: float) -> Iterator[tuple[int, Outcome]]:
    """Outcomes of `function` on each item, with the item's index, when they are finished.

    A process that is left idle at the end is kept for the next call, so that many calls on few items start one.

    Args:
        function: ``module:name``; takes one item.  An exception's attribute `reason`, or its type, becomes the status.
        items: anything that can be pickled; taken one by one, one more than there are processes at work on them.
        workers: processes.
        seconds: wall-clock limit per item, or of each part of it that it reports by `alive`.

    Raises:
        SymmcdError: a process does not start.
    """
    source = enumerate(items)
    first = list(itertools.islice(source, workers))
    waiting = itertools.chain(first, source)
    upcoming = next(waiting, None)
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:

        def engage(slot: _Slot) -> None:
            slot.worker = _Worker.idle() or _Worker()
            slot.worker.load(function)
            selector.register(slot.worker.answers, selectors.EVENT_READ, slot)

        for _ in first:
            stack.callback(_Slot.end, slot := _Slot())
            engage(slot)
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
                if outcome == _ALIVE:
                    worker.deadline = time.monotonic() + seconds
                    continue
                index = worker.index
                lost = isinstance(outcome, Outcome) and outcome.status in ("timed_out", "crashed")
                if lost and index is None:
                    raise SymmcdError(f"a process for {function} did not start: {outcome.status} ({outcome.detail})")
                if lost or upcoming is None:
                    selector.unregister(worker.answers)
                    if lost:
                        slot.end()
                    else:
                        slot.release()
                    if upcoming is not None:
                        engage(slot)
                else:
                    worker.give(*upcoming, seconds)
                    upcoming = next(waiting, None)
                if index is not None:
                    yield index, outcome


def alive() -> None:
    """Tell that a part of the item at work is done: its time limit begins anew.

    It has no effect in a process that works for itself.
    """
    if _Server.answers is not None:
        _send(_Server.answers, _ALIVE)


def _import_path() -> str:
    """Search path of modules for a process: that of this one."""
    source = str(Path(__file__).parents[1])
    return os.pathsep.join(dict.fromkeys([source, *filter(None, sys.path)]))


class _Slot:
    """A place for one process at a time."""

    worker: _Worker | None = None

    def end(self) -> None:
        if self.worker is not None:
            self.worker.end()
        self.worker = None

    def release(self) -> None:
        if self.worker is not None:
            self.worker.keep()
        self.worker = None


class _Worker:
    """One process; it answers when it has imported a function (with None) and after each item."""

    _kept: _Worker | None = None

    def __init__(self) -> None:
        self._path = _import_path()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", f"from symmcd import workers; workers.serve({os.getpid()})"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=os.environ | {"PYTHONPATH": self._path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._tasks, self.answers = self._process.stdin, self._process.stdout
        self._parent = os.getpid()
        self.index: int | None = None
        self.deadline = 0.0

    def load(self, function: str) -> None:
        self._hand_over(None, ("load", function), START_SECONDS)

    def give(self, index: int, item: Any, seconds: float) -> None:
        self._hand_over(index, ("item", item), seconds)

    def _hand_over(self, index: int | None, message: tuple[str, Any], seconds: float) -> None:
        self.index, self.deadline = index, time.monotonic() + seconds
        with contextlib.suppress(BrokenPipeError):  # it died while idle; `receive` will find that
            _send(self._tasks.fileno(), message)

    def receive(self) -> Outcome | str | None:
        try:
            return _receive(self.answers.fileno())
        except (EOFError, pickle.UnpicklingError):
            return Outcome("crashed", detail=f"process ended with {self._process.wait()}")

    def keep(self) -> None:
        """Keep it for later, or end it if there is one already."""
        if _Worker._kept is None:
            self.index = None
            _Worker._kept = self
        else:
            self.end()

    @classmethod
    def idle(cls) -> _Worker | None:
        """The process that was kept, if it still is one of ours and finds the same modules; no longer kept."""
        kept, cls._kept = cls._kept, None
        if kept is None or kept._parent != os.getpid():  # noqa: SLF001  (a copy of it, in a process that was forked)
            return None
        if kept._process.poll() is None and kept._path == _import_path():  # noqa: SLF001
            return kept
        kept.end()
        return None

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._tasks.close()
        self.answers.close()


@atexit.register
def _end_idle() -> None:
    if (worker := _Worker.idle()) is not None:
        worker.end()


class _Server:
    """Connection of a worker process to the process that it works for."""

    answers: int | None = None


def serve(parent: int) -> None:
    """Answer items on standard input until it is closed; whatever a function prints goes to standard error."""
    end_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who it works for, and that ends it
    tasks, _Server.answers = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    function: Any = None
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            kind, content = _receive(tasks)
            if kind == "load":
                function = loaded(content)
                _send(_Server.answers, None)
            else:
                _send(_Server.answers, _outcome(function, content))


def _outcome(function: Any, item: Any) -> Outcome:
    try:
        return Outcome("ok", function(item))
    except MemoryError:
        return Outcome("out_of_memory", detail="it asks for more memory than there is")
    except Exception as error:  # noqa: BLE001  (one broken item must not end the others; its outcome says why)
        detail = getattr(error, "detail", "") or str(error)
        return Outcome(getattr(error, "reason", type(error).__name__), detail=detail.replace("\n", " "))


def _send(pipe: int, message: Any) -> None:
    content = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    left = memoryview(_LENGTH.pack(len(content)) + content)
    while left:
        left = left[os.write(pipe, left) :]


def _receive(pipe: int) -> Any:
    (length,) = _LENGTH.unpack(_exactly(pipe, _LENGTH.size))
    return pickle.loads(_exactly(pipe, length))  # noqa: S301  (from our own process)


def _exactly(pipe: int, length: int) -> bytes:
    """`length` bytes.

    Raises:
        EOFError: the other end was closed before.
    """
    parts = []
    while length:
        parts.append(os.read(pipe, min(length, 1 << 20)))
        if not parts[-1]:
            raise EOFError
        length -= len(parts[-1])
    return b"".join(parts)
