"""Finished crystals held against constraints, whoever drew them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from symmcd.diffusion.constraints.constraint import Constraint
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences, rows_of_group


@dataclass(frozen=True)
class Judged(Constraint):
    """Constraints as one that looks at the finished crystals only: what each would have allowed, and `keep`."""

    constraints: tuple[Constraint, ...]

    def keep(self, drawn: WyckoffSequences) -> Tensor:
        return log_factor(self.constraints, drawn)

    def volume(self, drawn: WyckoffSequences) -> tuple[Tensor, Tensor] | None:
        return volume_bounds(self.constraints, drawn)


def log_factor(constraints: Sequence[Constraint], drawn: WyckoffSequences) -> Tensor:
    """Logarithm (B,) of what `Constraint.keep` gives, -inf where a choice was not allowed at its place."""
    factor = positions_allowed(constraints, drawn).float().log()
    place_of = torch.arange(drawn.wyckoff.shape[1], device=drawn.count.device)
    for constraint in constraints:
        if type(constraint).allowed_elements is not Constraint.allowed_elements:
            for place in range(drawn.wyckoff.shape[1]):
                before = replace(drawn, element=torch.where(place_of < place, drawn.element, 0))
                mask = constraint.allowed_elements(before, place)
                if mask is not None:
                    chosen = (drawn.element[:, place] - 1).clamp_min(0)
                    allowed = mask.expand(len(drawn), -1).gather(1, chosen[:, None])[:, 0]
                    factor = factor.masked_fill(~allowed & (place < drawn.count), -torch.inf)
        if (kept := constraint.keep(drawn)) is not None:
            factor = factor + kept
    return factor


def positions_allowed(constraints: Sequence[Constraint], drawn: WyckoffSequences) -> Tensor:
    """(B,) bool: each Wyckoff position was allowed at its place; elements are not looked at."""
    right = torch.ones_like(drawn.count, dtype=torch.bool)
    narrowing = [c for c in constraints if type(c).allowed_positions is not Constraint.allowed_positions]
    if not narrowing:
        return right
    rows, _ = rows_of_group(drawn.space_group)
    place_of = torch.arange(drawn.wyckoff.shape[1], device=drawn.count.device)
    letter = drawn.letter.clamp(0, rows.shape[1] - 1)
    for place in range(drawn.wyckoff.shape[1]):
        before = WyckoffSequences(
            drawn.space_group,
            drawn.count,
            torch.where(place_of < place, drawn.wyckoff, 0),
            torch.zeros_like(drawn.element),
        )
        for constraint in narrowing:
            mask = constraint.allowed_positions(before, place, rows)
            if mask is not None:
                right &= mask.gather(1, letter[:, place, None])[:, 0] | (place >= drawn.count)
    return right


def volume_bounds(constraints: Sequence[Constraint], drawn: WyckoffSequences) -> tuple[Tensor, Tensor] | None:
    """Smallest and largest volume (B,), Å³, of conventional cells that all of `constraints` allow; None: any."""
    bounds = [both for constraint in constraints if (both := constraint.volume(drawn)) is not None]
    if not bounds:
        return None
    low, high = (torch.stack(values) for values in zip(*bounds, strict=True))
    return low.amax(dim=0), high.amin(dim=0)
