"""Results written as they come, so that a long stage goes on after a kill; and lines that say how far it is."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from symmcd.errors import InputError


class Journal:
    """JSON lines beside an output (``OUT.partial``): first what the work is, then one line per finished item.

    A line is on the disk before `append` returns.  A last line that a kill cut short is dropped.  A journal of other
    work (other input, settings or seed) is started over, and says so.

    Args:
        output: file that the stage will write in the end.
        work: what the results depend on, JSON; results are gone on from only if it is the same.
    """

    def __init__(self, output: Path, work: Mapping[str, Any]) -> None:
        self.path = output.with_name(output.name + ".partial")
        self.done: list[dict[str, Any]] = []
        head = (json.dumps({"work": work}, sort_keys=True) + "\n").encode()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            before = self.path.read_bytes() if self.path.exists() else b""
            kept = self._read(before, head)
            self._file = self.path.open("r+b" if before else "wb")
            self._file.truncate(0 if not kept else len(kept))
            self._file.seek(0, os.SEEK_END)
            if not kept:
                self._file.write(head)
        except OSError as error:
            raise InputError(f"{self.path}: cannot write here ({error.strerror}); choose another folder") from None

    def _read(self, content: bytes, head: bytes) -> bytes:
        """The part of `content` to keep; fills `done`."""
        lines = content.splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):
            lines.pop()
        if not lines:
            return b""
        if lines[0] != head:
            print(f"{self.path}: from other input or settings; starting over", flush=True)
            return b""
        try:
            self.done = [json.loads(line) for line in lines[1:]]
        except json.JSONDecodeError as error:
            raise InputError(f"{self.path}: damaged ({error}); delete it to start this stage over") from None
        if self.done:
            print(f"{self.path}: {len(self.done)} results already there, going on", flush=True)
        return b"".join(lines)

    def append(self, *results: Mapping[str, Any]) -> None:
        """Write finished items."""
        self._file.write("".join(json.dumps(result) + "\n" for result in results).encode())
        self._file.flush()
        os.fsync(self._file.fileno())
        self.done.extend(dict(result) for result in results)

    def close(self) -> None:
        self._file.close()

    def remove(self) -> None:
        """Delete it: the stage has written its output."""
        self.close()
        self.path.unlink()


class Progress:
    """How far a long stage is: a bar on a terminal; in a log a plain line now and then, with rate and time left."""

    def __init__(self, total: int, done: int, unit: str, seconds_between_lines: float = 30) -> None:
        self.total, self.done, self.unit = total, done, unit
        self._between = seconds_between_lines
        self._first, self._started = done, time.monotonic()
        self._next_line = self._started
        self._bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, initial=done, unit=f" {unit}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, number: int, note: str = "") -> None:
        """`number` more are finished; `note` says something about the last."""
        self.done += number
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(number)
            return
        now = time.monotonic()
        if now < self._next_line and self.done < self.total:
            return
        self._next_line = now + self._between
        rate = (self.done - self._first) / max(now - self._started, 1e-9)
        left = (self.total - self.done) / rate if rate else 0.0
        text = f"{self.done}/{self.total} {self.unit}, {rate:.3g} a second, {left / 60:.1f} min left"
        print(f"{text}, {note}" if note else text, file=sys.stderr, flush=True)
