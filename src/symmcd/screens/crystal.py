"""Input of a screen."""

from __future__ import annotations

from dataclasses import dataclass

from pymatgen.core import Structure

Value = bool | int | float | str | None
"""Value of a screen; None if it does not apply, an empty text if nothing was found."""


@dataclass(frozen=True)
class ScreenedCrystal:
    """A crystal after and before its relaxation."""

    structure: Structure
    unrelaxed: Structure | None = None  # None: it has not been relaxed
