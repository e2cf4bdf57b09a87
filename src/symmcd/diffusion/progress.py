"""Progress of a long loop: one line rewritten on a terminal, a plain line every so often in a log."""

from __future__ import annotations

import math
import sys
import time

LOG_SECONDS = 10.0
TERMINAL_SECONDS = 0.2
LEAST_SHARE = 0.01  # of the work, that must be done before the time left is told


class StepProgress:
    """Counts up to `total` and says so on standard error; no packages needed, so that it runs on a bare machine."""

    def __init__(self, label: str, total: int, done: int = 0, *, quiet: bool = False) -> None:
        self.label, self.total, self.quiet = label, total, quiet
        self._first, self._start = done / max(total, 1), time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._last = self._start if not self._terminal else 0.0
        self._width = 0

    def update(
        self, done: int, note: str = "", most_left: float = math.inf, work: tuple[float, float] | None = None
    ) -> None:
        """Say that `done` of `total` are finished, if it is time to say so; `most_left` seconds at most remain.

        Where things differ in the work they make, `work` is what has been done of it here, and all that there was to do
        here; else all count alike.
        """
        if self.quiet:
            return
        now = time.monotonic()
        wait = TERMINAL_SECONDS if self._terminal else LOG_SECONDS
        if now - self._last < wait and not (self._terminal and done == self.total):
            return
        self._last = now
        share = done / max(self.total, 1)
        here, rest = (share - self._first, 1 - share) if work is None else (work[0], work[1] - work[0])
        # The time before the first crystals is mostly that of loading, and says nothing of the rest.
        known = here > LEAST_SHARE * (here + rest)
        left = min(most_left, (now - self._start) / here * rest) if known else most_left
        text = f"{self.label} {done}/{self.total}, {_duration(left)} left" + (f", {note}" if note else "")
        if self._terminal:
            filled = round(20 * share)
            text = f"{'█' * filled}{'░' * (20 - filled)} {text}"
            sys.stderr.write("\r" + text.ljust(self._width))
            self._width = len(text)
        else:
            sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def line(self, text: str) -> None:
        """Print a line of its own, above the bar on a terminal."""
        if self.quiet:
            return
        if self._terminal:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
        print(text, flush=True)

    def close(self) -> None:
        """End the line on a terminal."""
        if self._terminal and self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()


def _duration(seconds: float) -> str:
    if math.isinf(seconds):
        return "?"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"
