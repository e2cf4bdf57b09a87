"""`symmcd generate` on an idle and on a busy machine: seconds as typed, with one thread, and with threads that spin.

    python bench/busy.py                      # 10 and 100 crystals, six burners beside; a quarter of an hour or more
    python bench/busy.py --smoke              # two crystals of two steps, two burners: does it run?

"spinning" is what the command did before it told waiting threads to sleep (`symmcd.threads`), "as typed" what it does.
Burners are processes that this script starts, which do nothing but keep a core; they end with it.  A run that takes
longer than --limit seconds is ended, and shown as such.  Idle means that nothing else runs: look at the load first.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
HOW = {
    "as typed": {},
    "one thread": {"OMP_NUM_THREADS": "1"},
    "spinning": {"KMP_BLOCKTIME": "200"},  # libgomp does not read it, and symmcd leaves the user's choice alone
}
BURNER = "import os, sys\nwhile os.getppid() == int(sys.argv[1]):\n    for _ in range(1000000): pass"


@contextmanager
def burners(number: int) -> Iterator[None]:
    """So many processes that each keep a core busy."""
    started = [subprocess.Popen([sys.executable, "-c", BURNER, str(os.getpid())]) for _ in range(number)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.wait()


def seconds(number: int, how: dict[str, str], more: list[str], limit: float) -> float:
    """Wall-clock seconds of one `symmcd generate`, infinite beyond the limit."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES} | how
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "crystals")
        command = [sys.executable, "-m", "symmcd", "generate", "--number", str(number), "--output", str(output), *more]
        began = time.monotonic()
        try:
            subprocess.run(command, env=environment, check=True, capture_output=True, timeout=limit)
        except subprocess.TimeoutExpired:
            return float("inf")
        return time.monotonic() - began


def cell(taken: float, one: float | None, limit: float) -> str:
    """Seconds, and their ratio to those of one thread."""
    if taken == float("inf"):
        return f"above {limit:.0f}"
    return f"{taken:.1f}" + (f" ({taken / one:.2f})" if one else "")


def processor() -> str:
    """Name of the processor, where Linux tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--numbers", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--burners", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3, help="the median is shown")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds")
    parser.add_argument("--how", nargs="+", choices=HOW, default=list(HOW))
    parser.add_argument("--only", choices=("idle", "busy"))
    parser.add_argument("--steps", type=int, help="reverse steps (default: as many as the command takes)")
    parser.add_argument("--smoke", action="store_true")
    given = parser.parse_args()
    if given.smoke:
        given.numbers, given.burners, given.repeats, given.steps = [2], 2, 1, 2
    more = ["--device", "cpu", *(["--steps", str(given.steps)] if given.steps else [])]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "numpy", "symmcd"))
    print(f"{processor()}, {cores} cores, load {os.getloadavg()[0]:.1f} before")
    print(f"Python {platform.python_version()}, {versions}")
    print(f"seconds (median of {given.repeats}; ratio to one thread in the same state)\n")
    print("| crystals | state | " + " | ".join(given.how) + " |")
    print("|---" * (2 + len(given.how)) + "|")
    for number in given.numbers:
        for state, beside in (("idle", 0), ("busy", given.burners)):
            if given.only not in (None, state):
                continue
            with burners(beside):
                found = {
                    how: statistics.median(seconds(number, HOW[how], more, given.limit) for _ in range(given.repeats))
                    for how in given.how
                }
            cells = [cell(taken, found.get("one thread"), given.limit) for taken in found.values()]
            label = state if not beside else f"{beside} burners"
            print(f"| {number} | {label} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
