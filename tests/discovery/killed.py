"""A program: `symmcd discover` with toys, killed by SIGKILL at its Nth write to the disk, then run to its end.

    python -m tests.discovery.killed WEIGHTS FOLDER N

Exit status 137 where it was killed, 0 where it came to its end before.  A second run with N = 0 is not killed.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch

from symmcd.discovery import drafts, run
from symmcd.discovery.plan import Plan
from symmcd.extensions import POTENTIALS
from symmcd.stability.outcome import Limits
from tests.discovery.toys import TOYS


def plan(weights: str) -> Plan:
    """Twenty crystals of ten drafts a block, four crystals a shard."""
    drafts.BLOCK, run.SIZE = 10, 4
    run.version = lambda: "symmcd 0 (commit 0)"  # whatever is committed meanwhile
    limits = Limits(steps=5, fmax=0.1, max_atoms=60, seconds=60)
    how = {"stable": 1, "steps": 3, "screens": (), "device": "cpu"}
    return Plan(number=20, checkpoint=weights, judges=tuple(TOYS), limits=limits, **how)


def work(weights: str, folder: Path) -> None:
    """Run the command in this process."""
    for name, entry in TOYS.items():
        POTENTIALS._added[name] = entry
    run.Discovery(plan(weights), folder).run()


def child(weights: str, folder: Path, moment: int) -> int:
    """Run it in a process of its own that kills itself at the write `moment` (0: never); its exit status."""
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    flush, seen = os.fsync, 0

    def fsync(handle: int) -> None:
        nonlocal seen
        seen += 1
        if seen == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        flush(handle)

    os.fsync = fsync
    status = 1
    try:
        work(weights, folder)
        status = 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def main() -> None:
    weights, folder, step = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)  # before the fork, after which a pool of threads would be gone
    assert child(weights, folder / "whole", 0) == 0
    moment = 1
    while True:
        ended = child(weights, folder / f"killed{moment}", moment)
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
        assert child(weights, folder / f"killed{moment}", 0) == 0
        moment += step
    print(f"killed at {moment // step} moments")


if __name__ == "__main__":
    main()
