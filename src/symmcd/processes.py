"""A process that was started for another ends with it, whatever it is at work on."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_EVERY = 1.0  # seconds between two looks at the parent, where the kernel does not tell of its end


def end_with_parent(parent: int) -> None:
    """End this process, just started, when the process `parent`, which started it, has ended, killed or not.

    Otherwise it would go on for nothing, its standard output open: who reads that, such as the `tee` of a rule, would
    wait for it.  On Linux the kernel kills it, also inside C code that holds the interpreter's lock for ever; elsewhere
    a thread looks at the parent, which such code would keep from looking.
    """
    if not (sys.platform == "linux" and _killed_by_kernel()):
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it ended before the kernel was asked
        os._exit(1)


def _killed_by_kernel() -> bool:
    """Ask the kernel for SIGKILL at the parent's end; whether it agreed."""
    try:
        return ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) == 0
    except (OSError, AttributeError):
        return False


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_EVERY)
    os._exit(1)
