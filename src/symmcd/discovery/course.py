"""Progress of the whole command: items of all its stages, and the time that is left."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field

BETWEEN = 15.0  # seconds between two lines in a log


@dataclass
class Stage:
    """Items of one kind of work."""

    total: int
    expected: float  # seconds per item, until some have been measured
    done: int = 0
    measured: int = 0  # items finished while we watched
    seconds: float = 0.0  # that these took

    def rate(self) -> float:
        """Seconds per item."""
        return self.seconds / self.measured if self.measured else self.expected

    def left(self) -> float:
        """Seconds."""
        return max(self.total - self.done, 0) * self.rate()


@dataclass
class Course:
    """Stages in order, and the line that reports their progress.

    Args:
        budget: seconds that may be spent; None: no limit.
        spent: seconds that earlier runs of the same command took.
    """

    budget: float | None = None
    spent: float = 0.0
    stages: dict[str, Stage] = field(default_factory=dict)
    _started: float = field(default_factory=time.monotonic)
    _mark: float = field(default_factory=time.monotonic)
    _said: float = -BETWEEN

    def expect(self, name: str, total: int, expected: float, done: int = 0) -> None:
        """Expect a stage of `total` items, some of them done; earlier measurements of it are kept."""
        before = self.stages.get(name)
        self.stages[name] = Stage(total, expected, done)
        if before is not None:
            self.stages[name].measured, self.stages[name].seconds = before.measured, before.seconds

    def begin(self) -> None:
        """Start the time of the items that are finished next."""
        self._mark = time.monotonic()

    def advance(self, name: str, number: int) -> float:
        """Count so many more finished items, and the seconds that they took."""
        now = time.monotonic()
        stage, took = self.stages[name], now - self._mark
        stage.done += number
        stage.measured += number
        stage.seconds += took
        self._mark = now
        self.say()
        return took

    def elapsed(self) -> float:
        """Seconds of this run and those before."""
        return self.spent + time.monotonic() - self._started

    def fits(self, seconds: float, share: float = 1.0) -> bool:
        """Return whether so many seconds more are within this share of the budget."""
        return self.budget is None or self.elapsed() + seconds <= share * self.budget

    def left(self) -> float:
        """Seconds until everything is done, or the budget is."""
        work = sum(stage.left() for stage in self.stages.values())
        return work if self.budget is None else max(0.0, min(work, self.budget - self.elapsed()))

    def say(self, *, at_once: bool = False) -> None:
        """A line on standard error; on a terminal the same line anew."""
        now, terminal = time.monotonic() - self._started, sys.stderr.isatty()
        if not at_once and now - self._said < (0.5 if terminal else BETWEEN):
            return
        self._said = now
        counts = ", ".join(f"{name} {stage.done:,}/{stage.total:,}" for name, stage in self.stages.items())
        text = f"{counts}; about {self.left() / 60:.1f} min left"
        print(f"\r\x1b[K{text}" if terminal else text, end="" if terminal else "\n", file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the line of a terminal."""
        if sys.stderr.isatty():
            print(file=sys.stderr, flush=True)
