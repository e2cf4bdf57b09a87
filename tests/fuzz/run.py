"""Feed every reader with damaged files and count what comes of them; exit 1 if one crashes, hangs or takes the memory.

python -m tests.fuzz.run --inputs 20000 --seed 1
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path

from tests.fuzz.kinds import KINDS, damaged

SECONDS = 10.0  # an input may take
STARTING = 300.0  # seconds in which a worker loads its libraries
BATCH = 50
OUTCOMES = ("read", "refused", "wordy", "crash", "hang", "memory")
BAD = ("wordy", "crash", "hang", "memory")


class Worker:
    """A process that reads inputs, and its answers."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._rest = b""
        if self._answer(STARTING) != {"ready": True}:
            raise RuntimeError("a worker does not start; try: echo | python -m tests.fuzz.worker")

    def run(self, kind: str, seed: int, first: int, count: int) -> list[dict[str, str]]:
        """Outcomes of inputs, as many as there are until one ends this worker."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{kind} {seed} {first} {count}\n".encode())
        self._process.stdin.flush()
        found: list[dict[str, str]] = []
        while len(found) < count:
            answer = self._answer(SECONDS)
            if answer is None:
                self.end()
                hung = self._process.returncode == -9
                how = f"more than {SECONDS:g} s" if hung else f"the process ended ({self._process.returncode})"
                return [*found, {"outcome": "hang" if hung else "crash", "detail": how}]
            if "at" not in answer:
                found.append(answer)
        return found

    def _answer(self, seconds: float) -> dict[str, str] | None:
        """The next line; None where there is none in time, or no more."""
        assert self._process.stdout is not None
        end = time.monotonic() + seconds
        while b"\n" not in self._rest:
            ready = select.select([self._process.stdout], [], [], max(0.0, end - time.monotonic()))[0]
            more = os.read(self._process.stdout.fileno(), 1 << 16) if ready else b""
            if not more:
                return None
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line)

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        if self._process.poll() is None:
            try:
                self._process.wait(0.2)  # it may be about to end by itself
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()


def shares(inputs: int, names: list[str]) -> dict[str, int]:
    """How many inputs each kind gets."""
    total = sum(KINDS[name].share for name in names)
    return {name: max(1, round(inputs * KINDS[name].share / total)) for name in names}


def fuzz(numbers: dict[str, int], seed: int, workers: int, failing: Path) -> dict[str, Counter[str]]:
    """Outcomes by kind; inputs that came out badly are kept in `failing`."""
    tasks: queue.SimpleQueue[tuple[str, int, int]] = queue.SimpleQueue()
    for begin in range(0, max(numbers.values()), BATCH):
        for kind, number in numbers.items():
            if begin < number:
                tasks.put((kind, begin, min(BATCH, number - begin)))
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    lock = threading.Lock()

    def work() -> None:
        worker = Worker()
        while True:
            try:
                kind, first, count = tasks.get_nowait()
            except queue.Empty:
                break
            while count:
                if not worker.lives:
                    worker = Worker()
                found = worker.run(kind, seed, first, count)
                with lock:
                    for number, result in enumerate(found, start=first):
                        counts[kind][result["outcome"]] += 1
                        if result["outcome"] in BAD:
                            keep(failing, kind, seed, number, result)
                first, count = first + len(found), count - len(found)
        worker.end()

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counts


def keep(failing: Path, kind: str, seed: int, number: int, result: dict[str, str]) -> None:
    """Save an input, and say what happened."""
    failing.mkdir(parents=True, exist_ok=True)
    path = failing / f"{kind}-{seed}-{number}-{result['outcome']}{KINDS[kind].suffix}"
    path.write_bytes(damaged(kind, seed, number))
    print(f"{path.name}: {' '.join(result['detail'].split())[:250]}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--kinds", nargs="+", choices=sorted(KINDS), default=list(KINDS))
    parser.add_argument("--failing", type=Path, help="folder for inputs that came out badly (default: a temporary one)")
    chosen = parser.parse_args()
    failing = chosen.failing or Path(tempfile.mkdtemp(prefix="symmcd-fuzz-"))
    numbers = shares(chosen.inputs, chosen.kinds)
    print(f"seed {chosen.seed}: {sum(numbers.values())} inputs, failing ones go to {failing}", flush=True)
    began = time.monotonic()
    counts = fuzz(numbers, chosen.seed, chosen.workers, failing)
    print(f"{'reader':12} {'inputs':>7} " + " ".join(f"{name:>8}" for name in OUTCOMES))
    total: Counter[str] = Counter()
    for kind in chosen.kinds:
        total += counts[kind]
        print(f"{kind:12} {numbers[kind]:7} " + " ".join(f"{counts[kind][name]:8}" for name in OUTCOMES))
    print(f"{'all':12} {sum(total.values()):7} " + " ".join(f"{total[name]:8}" for name in OUTCOMES))
    print(f"seed {chosen.seed}, {time.monotonic() - began:.0f} s, {chosen.workers} workers")
    bad = sum(total[name] for name in BAD)
    if bad:
        print(f"{bad} inputs came out badly; they are in {failing}")
    return 1 if bad or sum(total.values()) < sum(numbers.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
