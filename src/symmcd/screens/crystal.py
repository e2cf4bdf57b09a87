"""What a screen looks at."""

from __future__ import annotations

from dataclasses import dataclass

from pymatgen.core import Structure

Value = bool | int | float | str | None
"""Of a screen; None where there is nothing to say, an empty text where nothing was found."""


@dataclass(frozen=True)
class ScreenedCrystal:
    """A crystal, and what it was before its relaxation."""

    structure: Structure
    unrelaxed: Structure | None = None  # None: it has not been relaxed
