"""Commands that can be killed, and what is left of them: every process that one starts carries a mark."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

MARK = "SYMMCD_FAULTS_MARK"
COMMAND = (sys.executable, "-m", "symmcd")
SOURCE = str(Path(__file__).parents[2] / "src")


@dataclass(frozen=True)
class Done:
    """How a command ended and what it said."""

    status: int
    text: str

    @property
    def complaint(self) -> list[str]:
        """Its last lines from the one that begins with its name: a refusal is one, a traceback has none."""
        lines = self.text.rstrip().splitlines()
        starts = [i for i, line in enumerate(lines) if line.startswith("symmcd")]
        return lines[starts[-1] :] if starts else []

    @property
    def refused(self) -> bool:
        """Whether it ended as bad input or a full disk does: status 2, one line at the end and no traceback."""
        return self.status == 2 and len(self.complaint) == 1 and "Traceback" not in self.text


@dataclass(frozen=True)
class Running:
    """A command that was started."""

    process: subprocess.Popen[bytes]
    log: IO[bytes]
    mark: str

    def finish(self, seconds: float) -> Done:
        """Wait for its end; -1 and what it said until then where it takes too long."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            status = -1
        self.log.seek(0)
        text = self.log.read().decode(errors="replace")
        self.log.close()
        return Done(status, text)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send it, and it alone, a signal."""
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait()

    def left(self, seconds: float = 5.0) -> list[int]:
        """Processes of it that still run after so many seconds; none are left running."""
        until = time.monotonic() + seconds
        while (found := marked(self.mark)) and time.monotonic() < until:
            time.sleep(0.05)
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        return found


def start(
    words: Sequence[str],
    folder: Path,
    largest_file: int | None = None,
    command: Sequence[str] = COMMAND,
) -> Running:
    """Run `symmcd` with these words in `folder`; with `largest_file` (bytes) it can write none above that size."""
    mark = uuid.uuid4().hex
    log = tempfile.TemporaryFile()  # noqa: SIM115  (a pipe would have to be read while it runs)
    own = {MARK: mark, "PYTHONPATH": SOURCE, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    process = subprocess.Popen(
        [*command, *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=os.environ | own,
        start_new_session=True,
    )
    if largest_file is not None:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (largest_file, largest_file))
    return Running(process, log, mark)


def marked(mark: str) -> list[int]:
    """Processes that run with a mark in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
    return found
