"""How threads of OpenMP wait for each other: asleep, so that a busy machine does not stand still.

By default a thread that waits spins, for milliseconds of a core that another process could have used, and on a machine
with more work than cores all of them wait for the one that has none.  libgomp, which torch's Linux wheels bring, reads
its environment once, when it is loaded, so this has to come before torch.
"""

from __future__ import annotations

import os
import sys

CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # any of these: the user has chosen
ASLEEP = {"OMP_WAIT_POLICY": "PASSIVE"}


def let_threads_sleep() -> bool:
    """Make threads that wait sleep, in this process and its children; whether that is so by our doing.

    The user's own choice stays, and so does the environment of a process that has loaded torch: it would not be heard.
    """
    if "torch" in sys.modules or any(name in os.environ for name in CHOICES):
        return False
    os.environ.update(ASLEEP)
    return True
