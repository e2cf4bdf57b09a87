"""Numbers of drafts: those to choose from, and those drawn at once."""

from __future__ import annotations

from collections.abc import Sequence

from symmcd.diffusion.constraints.constraint import Constraint

BLOCK = 4096  # drafts drawn at once, to bound the memory
FEWEST_CHOSEN = 200  # crystals that a choice is made for, of which a smaller set is a part
FEWEST_CONSTRAINED = 25  # the same under constraints, if there are fewer strata and a draft costs thirty times as much


def pool_size(number: int, asked: Sequence[Constraint]) -> int:
    """Crystals that a choice is made for where `number` are wanted."""
    return max(number, FEWEST_CONSTRAINED if asked else FEWEST_CHOSEN)
