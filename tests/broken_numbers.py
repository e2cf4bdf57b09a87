"""Crystals with a number that is none, for processes of their own: a crash in C code is one failed test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from pymatgen.core import Lattice, Structure


def broken_crystals(value: float) -> list[Structure]:
    """CsCl with `value` in place of each of its 6 coordinates, then of each of the 9 entries of its cell."""
    crystals = []
    for i in np.ndindex(2, 3):
        position = np.array([[0, 0, 0], [0.5, 0.5, 0.5]])
        position[i] = value
        crystals.append(Structure(Lattice.cubic(4), ["Cs", "Cl"], position))
    for i in np.ndindex(3, 3):
        cell = 4 * np.eye(3)
        cell[i] = value
        crystals.append(Structure(Lattice(cell), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]))
    return crystals


def printed(code: str) -> str:
    """What `code` prints in a process of its own, with `broken_crystals`, nan and inf at hand."""
    head = "import warnings; warnings.simplefilter('ignore')\nfrom tests.broken_numbers import broken_crystals\n"
    ended = subprocess.run(
        [sys.executable, "-c", f"{head}from math import inf, nan\n{code}"],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[1],
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
