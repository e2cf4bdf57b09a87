"""Purposes of the draws of a crystal's random numbers; two draws with one number would give the same random numbers.

A reverse step s, from 1, has the draws ``s * DRAWS`` to ``(s + 1) * DRAWS - 1``; the first `DRAWS` are those before it.
"""

from __future__ import annotations

from enum import IntEnum

DRAWS = 8  # draws of a step


class Draw(IntEnum):
    """Draws before the first step of any model: of the noise that it begins with, and of the plan."""

    LATTICE = 0
    POSITION = 1
    PLAN = 5  # space group and number of orbits


class JointDraw(IntEnum):
    """Further draws of the joint model, before the first step and in each."""

    ELEMENT = 2
    SITE_SYMMETRY = 3
    CORRECTOR = 4


class StagedDraw(IntEnum):
    """Further draws of the staged model before the first step."""

    WYCKOFF = 2
    ELEMENT = 3
    KEPT = 4  # which of several proposals
    CHECK_LATTICE = 6  # noise by which geometries are compared
    CHECK_POSITION = 7


class StagedStepDraw(IntEnum):
    """Further draws of a step of the staged model."""

    LATTICE_CORRECTOR = 2
    POSITION_CORRECTOR = 3
