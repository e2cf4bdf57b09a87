"""A constraint as a user would add it: one file, and one registration."""

from __future__ import annotations

from torch.nn.functional import one_hot

from symmcd.diffusion.constraints.constraint import Constraint
from symmcd.extensions import ConstraintKind


class DistinctElements(Constraint):
    """No two orbits of one element."""

    def allowed_elements(self, drawn, place):
        """All that stand on no orbit before."""
        return one_hot(drawn.element[:, :place], 119).sum(dim=1)[:, 1:] == 0

    def __str__(self) -> str:
        return "a different element on each orbit"


DISTINCT_ELEMENTS = ConstraintKind("a different element on each orbit", lambda _: DistinctElements())
