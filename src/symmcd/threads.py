"""How threads of OpenMP wait for each other: briefly spinning, then asleep.

By default a thread that waits spins for a millisecond, of a core that another process could have used, and on a machine
with more work than cores all of them wait for the one that has none: ten crystals beside six busy processes took 298 s
on two cores, and 22 s with one thread.  Threads that sleep at once (`OMP_WAIT_POLICY=PASSIVE`) are late on an idle
machine: 23 instead of 13 s.  3,000 turns, some ten microseconds, cost neither (`bench/busy.py`).

libgomp, which torch's Linux wheels bring, reads its environment once, when it is loaded, so this has to come before
torch.
"""

from __future__ import annotations

import os
import sys

CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # any of these: the user has chosen
SPINS = {"GOMP_SPINCOUNT": "3000"}


def let_threads_sleep() -> bool:
    """Make threads that wait sleep soon, in this process and its children; whether that is so by our doing.

    The user's own choice stays, and so does the environment of a process that has loaded torch: it would not be heard.
    """
    if "torch" in sys.modules or any(name in os.environ for name in CHOICES):
        return False
    os.environ.update(SPINS)
    return True
