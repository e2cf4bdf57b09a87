"""Change of a crystal by its relaxation."""

from __future__ import annotations

from symmcd.extensions import Screen
from symmcd.screens.crystal import ScreenedCrystal


def volume_change(crystal: ScreenedCrystal) -> float | None:
    """Change of the volume per atom, %; None if the crystal has not been relaxed."""
    if crystal.unrelaxed is None:
        return None
    after, before = (s.volume / len(s) for s in (crystal.structure, crystal.unrelaxed))
    return 100 * (after / before - 1) if before > 0 else None


VOLUME_CHANGE = Screen(
    "volume change",
    "Of the volume of an atom in relaxation; a doubt where it is large, as then the crystal is not the one that was "
    "made.",
    "symmcd.screens.relaxation:volume_change",
    unit="%",
)
