"""What a badly behaved item does to its process."""

from __future__ import annotations

import os
import time


def behave(item: float | str) -> float:
    if item == "crash":
        os._exit(3)
    if item == "raise":
        return 1 / 0
    print("to standard error, not among the answers")
    time.sleep(float(item))
    return float(item)
