"""Threads of OpenMP on the cores of a machine: they spin briefly, then sleep; one alone if the cores are taken.

By default a waiting thread spins for a millisecond, on a core that another process could have used; on a machine with
more work than cores all threads wait for the one without a core.  Threads that sleep at once
(`OMP_WAIT_POLICY=PASSIVE`) wake late, which takes twice as long on an idle machine.  Spinning for 10,000 turns, some
tens of microseconds, avoids both costs.

If all cores are taken, threads lose time by waiting for each other in any case: ten crystals beside six busy processes
on two cores took 40 s with two threads and 17 s with one.  So a process that has waited for a core longer than it has
run, which Linux reports, takes one thread (bench/README.md).

libgomp, which torch's Linux wheels bring, reads its environment once, when it is loaded, so this has to come before
torch.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # any of these: the user has chosen
SPINS = {"GOMP_SPINCOUNT": "10000"}
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
SCHEDULED = Path("/proc/self/schedstat")  # nanoseconds on a core, nanoseconds of waiting for one, time slices


def let_threads_sleep() -> bool:
    """Make threads that wait sleep soon, in this process and its children; whether that is so by our doing.

    Where cores are taken there is one thread.  The user's own choice stays, and so does the environment of a process
    that has loaded torch: it would not be heard.
    """
    if "torch" in sys.modules:
        return False
    if "OMP_NUM_THREADS" not in os.environ and cores_are_taken():
        os.environ.update(ONE_THREAD)
    if any(name in os.environ for name in CHOICES):
        return False
    os.environ.update(SPINS)
    return True


def cores_are_taken(scheduled: Path = SCHEDULED) -> bool:
    """Return whether this process has waited for a core longer than it had one; False if the system does not tell."""
    try:
        ran, waited, *_ = map(int, scheduled.read_text().split())
    except (OSError, ValueError):
        return False
    return waited > ran
