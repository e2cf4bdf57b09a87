"""What a badly behaved item does to its process."""

from __future__ import annotations

import ctypes
import os
import time

from symmcd.workers import alive


def behave(item: float | str) -> float | str:
    if item == "crash":
        os._exit(3)
    if item == "raise":
        return 1 / 0
    if item == "memory":
        raise MemoryError
    if item == "stuck":
        ctypes.PyDLL(None).sleep(3600)  # in C, with the interpreter's lock held
    if item == "process":
        return str(os.getpid())
    if item == "large":
        return "x" * 5_000_000
    print("to standard error, not among the answers")
    time.sleep(float(item))
    return float(item)


def in_parts(parts: int) -> int:
    """Work of many parts, each well within a limit that all of them together exceed; the last of -1 never ends."""
    for _ in range(abs(parts)):
        alive()
        time.sleep(0.2)
    if parts < 0:
        time.sleep(3600)
    return parts
