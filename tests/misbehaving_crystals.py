"""Crystals that spglib hangs on, crashes on or finds no memory for, in every process that is started from here.

Processes import ``sitecustomize`` of the first folder on their path that has one; ours puts a trap into spglib for
cells of certain lengths.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from symmcd import workers

HANGS, CRASHES, NO_MEMORY, ERRS = 7.77, 8.88, 9.99, 6.66  # Å, first number of the cell
TRAP = f"""
import ctypes, os, signal, spglib
asked = spglib.get_symmetry_dataset

def get_symmetry_dataset(cell, **options):
    length = round(float(cell[0][0][0]), 4)
    if length == {HANGS}:
        ctypes.PyDLL(None).sleep(3600)  # in C, with the interpreter's lock held
    if length == {CRASHES}:
        os.kill(os.getpid(), signal.SIGSEGV)
    if length == {NO_MEMORY}:
        raise MemoryError
    if length == {ERRS}:
        raise ZeroDivisionError("of a kind that nobody foresaw")
    return asked(cell, **options)

spglib.get_symmetry_dataset = get_symmetry_dataset
"""


@contextlib.contextmanager
def trap(folder: Path) -> Iterator[None]:
    """Processes started inside the block have the trap; `folder` is where it is written."""
    (folder / "sitecustomize.py").write_text(TRAP)
    workers._end_idle()  # it has started without
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        workers._end_idle()
