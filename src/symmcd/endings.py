"""Endings of a command: by a signal like by Ctrl-C, with its temporary files gone; and not because nobody listens.

Standard library only, as `symmcd --help` has to be instant.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from symmcd.errors import InputError, SymmcdError
from symmcd.packages import missing_package
from symmcd.writing import NO_ROOM, cannot_write, failed_write

SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
AGAIN = 0.2  # seconds until a signal is given again that arrived where Python drops exceptions


class Ended(KeyboardInterrupt):
    """A signal has asked this process to end; whatever tidies up after Ctrl-C does it after this too."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def status_of(interrupt: KeyboardInterrupt) -> tuple[int, str]:
    """Exit status, 128 + the signal's number as shells count, and words for a line."""
    if isinstance(interrupt, Ended):
        return 128 + interrupt.number, f"ended by {signal.Signals(interrupt.number).name}"
    return 128 + signal.SIGINT, "interrupted"


def line_for_user(error: BaseException) -> str | None:
    """The line that a user gets of an error: its text, a missing package or a full disk; None of a mistake of ours."""
    if isinstance(error, SymmcdError):
        return str(error)
    if (line := missing_package(error)) is not None:
        return line
    failed = failed_write(error)
    if failed is None:
        return None
    return str(cannot_write(Path(failed.filename or "a file"), failed))  # `write` itself names none


@contextlib.contextmanager
def ending_by_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into `Ended` in the main thread; signals that the caller ignores (nohup) stay ignored.

    After the first one further ones are ignored, so that they do not disturb what tidies up; `timeout`, for one, sends
    two.
    """
    if threading.current_thread() is not threading.main_thread():  # somebody's thread: its signals are not ours
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    ours = [number for number, handler in before.items() if handler == signal.SIG_DFL]
    hook = sys.unraisablehook
    ended = False

    def end(number: int, _: FrameType | None) -> None:
        nonlocal ended
        ended = True
        for each in ours:
            signal.signal(each, signal.SIG_IGN)
        raise Ended(number)

    def again(dropped: Any) -> None:
        """An exception in a destructor or a callback of C code is dropped: send its signal once more."""
        if not isinstance(dropped.exc_value, KeyboardInterrupt):
            hook(dropped)
            return
        number = dropped.exc_value.number if isinstance(dropped.exc_value, Ended) else signal.SIGINT
        for each in ours:
            signal.signal(each, end)
        timer = threading.Timer(AGAIN, os.kill, (os.getpid(), number))
        timer.daemon = True
        timer.start()

    for number in ours:
        signal.signal(number, end)
    sys.unraisablehook = again
    try:
        yield
    finally:
        if not ended:  # else further signals stay ignored while Python tidies up
            for number in ours:
                signal.signal(number, before[number])
        sys.unraisablehook = hook


class _Stream(io.FileIO):
    """Standard output or error, written on to nowhere once nobody reads it."""

    def __init__(self, number: int, name: str, *, needed: bool) -> None:
        super().__init__(number, "w", closefd=False)
        self._called, self._needed = name, needed
        self.abandoned = False

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except OSError as error:
            self.abandon()
            if self._needed and error.errno in NO_ROOM:  # what is left goes nowhere, and so does a second complaint
                raise cannot_write(Path(self._called), error) from None
            return len(data)

    def abandon(self) -> None:
        """Let everything that is written here from now on, by C code and children too, vanish."""
        self.abandoned = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


@contextlib.contextmanager
def tolerant_streams() -> Iterator[None]:
    """Make a closed standard output or error no reason to stop: a stage is there for its files.

    A pipe whose reader has gone, a terminal that is gone and a stream that was closed from the start count alike; a
    full disk under standard output is an error.  Streams that a caller has put in place of the real ones stay.

    Raises:
        InputError: from whatever writes to standard output, where that is a file on a full disk.
    """
    _open_closed_ones()
    changed = []
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream: TextIO | None = getattr(sys, name)
        if stream is not None and stream is not getattr(sys, f"__{name}__"):
            continue
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.flush()
        new = _tolerant(stream, number, "standard output" if number == 1 else "standard error", needed=number == 1)
        changed.append((name, stream, new))
        setattr(sys, name, new)
    try:
        yield
    finally:
        for name, stream, new in changed:
            with contextlib.suppress(InputError):  # the caller has flushed where it wanted to know
                new.flush()
            setattr(sys, name, stream)


def _open_closed_ones() -> None:
    """Give numbers 0, 1 and 2 to something: the next file that is opened would get them, and what C code complains."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)


def _tolerant(stream: TextIO | None, number: int, called: str, *, needed: bool) -> TextIO:
    raw = _Stream(number, called, needed=needed)
    buffer = io.BufferedWriter(raw)
    if not isinstance(stream, io.TextIOWrapper):  # closed from the start
        return io.TextIOWrapper(buffer, encoding="utf-8", errors="replace")
    return io.TextIOWrapper(
        buffer,
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
