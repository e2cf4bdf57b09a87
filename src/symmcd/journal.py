"""Results written one by one, so that a long stage continues after a kill; and lines about its progress."""

from __future__ import annotations

import json
import os
import sys
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from symmcd.errors import InputError
from symmcd.one_writer import WriterLock
from symmcd.writing import cannot_write


class Journal:
    """JSON lines beside an output (``OUT.partial``): first what the work is, then one line per finished item.

    A line is on the disk before `append` returns.  Lines that a kill or a power cut broke at the end are dropped.  A
    journal of other work (other input, settings or seed) is started over, and says so.  Each line ends in blanks and
    tabs that are the bits of its checksum, so that a damaged one is refused and it stays a line of JSON all the same.
    As long as a journal is open, no other process can write the same output (see `one_writer`).

    Args:
        output: file that the stage will write in the end.
        work: what the results depend on, JSON; earlier results are kept only if it is the same.

    Raises:
        InputError: another process writes this output, the journal is damaged, or the disk is full.
    """

    def __init__(self, output: Path, work: Mapping[str, Any]) -> None:
        self.path = output.with_name(output.name + ".partial")
        self.done: list[dict[str, Any]] = []
        self._lock = WriterLock(output)
        head = _sealed(json.dumps({"work": work}, sort_keys=True))
        try:
            before = self.path.read_bytes() if self.path.exists() else b""
            kept = self._read(before, head)
            self._file = self.path.open("r+b" if before else "wb", buffering=0)
            self._file.truncate(kept)
            self._file.seek(kept)
            if not kept:
                self._write(head)
        except OSError as error:
            raise cannot_write(self.path, error) from None

    def _read(self, content: bytes, head: bytes) -> int:
        """Bytes of `content` to keep; fills `done`.  Lines of journals from before there were checksums have none."""
        lines = content.splitlines(keepends=True)
        if not lines or (len(lines) == 1 and _result(lines[0], sealed=False) is None):
            return 0
        if _result(lines[0], sealed=False) is None:
            raise InputError(f"{self.path}: damaged in line 1; delete it to start this stage again")
        if lines[0].rstrip() != head.rstrip():
            print(f"{self.path}: from other input or settings; starting again", flush=True)
            return 0
        results = [_result(line, sealed=lines[0] == head) for line in lines[1:]]
        while results and results[-1] is None:
            results.pop()
        if None in results:
            raise InputError(
                f"{self.path}: damaged in line {results.index(None) + 2}; delete that line and those after it to "
                "continue from the results before it, or delete the file to start this stage again"
            )
        unfinished = not lines[-1].endswith(b"\n")  # a kill in the middle of a line is nothing to talk about
        if len(results) < len(lines) - 1 - unfinished:
            print(f"{self.path}: damaged after {len(results)} results; computing the rest again", flush=True)
        self.done = [result for result in results if result is not None]
        if self.done:
            print(f"{self.path}: {len(self.done)} results already finished; continuing", flush=True)
        return sum(map(len, lines[: len(self.done) + 1]))

    def append(self, *results: Mapping[str, Any]) -> None:
        """Write finished items.

        Raises:
            InputError: the disk is full; what is finished so far stays.
        """
        try:
            self._write(b"".join(_sealed(json.dumps(result)) for result in results))
            os.fsync(self._file.fileno())
        except OSError as error:
            raise cannot_write(self.path, error, f"it goes on from {len(self.done)} results") from None
        self.done.extend(dict(result) for result in results)

    def _write(self, content: bytes) -> None:
        """Write all of it, unbuffered: a buffer would keep what a full disk refused, and write it at the end."""
        left = memoryview(content)
        while left:
            left = left[self._file.write(left) :]

    def close(self) -> None:
        """Let another process continue from here."""
        self._file.close()
        self._lock.release()

    def remove(self) -> None:
        """Delete it: the stage has written its output."""
        self.path.unlink(missing_ok=True)
        self.close()


def _sealed(text: str) -> bytes:
    """A line with its checksum: blank or tab for each of the 32 bits."""
    line = text.encode()
    return line + f"{zlib.crc32(line):032b}".translate({ord("0"): " ", ord("1"): "\t"}).encode() + b"\n"


def _result(line: bytes, *, sealed: bool) -> dict[str, Any] | None:
    """Parse a line; None if it is incomplete or damaged."""
    text = line.rstrip()
    try:
        if not line.endswith(b"\n") or ((sealed or text + b"\n" != line) and _sealed(text.decode()) != line):
            return None
        result = json.loads(text)
    except ValueError:
        return None
    return result if isinstance(result, dict) else None


class Progress:
    """Progress of a long stage: a bar on a terminal; in a log a plain line now and then, with rate and time left."""

    def __init__(self, total: int, done: int, unit: str, seconds_between_lines: float = 30) -> None:
        self.total, self.done, self.unit = total, done, unit
        self._between = seconds_between_lines
        self._since: tuple[int, float] | None = None  # number done and moment of the first result of this run
        self._next_line = 0.0
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
        # Loading a potential and its first batch take long; the rate is that of what follows the first result.
        first, began = self._since = self._since or (self.done, now)
        if now < self._next_line and self.done < self.total:
            return
        self._next_line = now + self._between
        text = f"{self.done}/{self.total} {self.unit}"
        if self.done > first:
            rate = (self.done - first) / max(now - began, 1e-9)
            text += f", {rate:.3g} a second, {(self.total - self.done) / rate / 60:.1f} min left"
        print(f"{text}, {note}" if note else text, file=sys.stderr, flush=True)
