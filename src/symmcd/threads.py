"""How threads of OpenMP wait for each other: briefly spinning, then asleep.

By default a thread that waits spins for a millisecond, of a core that another process could have used, and on a machine
with more work than cores all of them wait for the one that has none.  Threads that sleep at once
(`OMP_WAIT_POLICY=PASSIVE`) wake late, which takes twice as long on an idle machine.  10,000 turns, some tens of
microseconds, cost neither: 100 crystals take 31 s on two idle cores (34 s spinning, 73 s asleep at once), and ten
crystals beside six busy processes 49 s (33 s with one thread; minutes spinning).

libgomp, which torch's Linux wheels bring, reads its environment once, when it is loaded, so this has to come before
torch.
"""

from __future__ import annotations

import os
import sys

CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # any of these: the user has chosen
SPINS = {"GOMP_SPINCOUNT": "10000"}


def let_threads_sleep() -> bool:
    """Make threads that wait sleep soon, in this process and its children; whether that is so by our doing.

    The user's own choice stays, and so does the environment of a process that has loaded torch: it would not be heard.
    """
    if "torch" in sys.modules or any(name in os.environ for name in CHOICES):
        return False
    os.environ.update(SPINS)
    return True
