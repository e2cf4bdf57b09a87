"""Templates: space group and multiset of occupied Wyckoff letters (paper, Table 1).

The paper's letters depend on the choice of origin and axes; `normaliser.canonical_template` takes that choice out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.wyckoff import wyckoff_table


def templates(units: AsymmetricUnits) -> list[str]:
    """One name a crystal, such as ``225_a_b``.  Letters are as generated."""
    letters = wyckoff_table().letter[units.wyckoff]
    return [
        "_".join([str(group), *sorted(letters[a:b].tolist())])
        for group, a, b in zip(units.space_group.tolist(), units.start[:-1], units.start[1:], strict=True)
    ]


@dataclass(frozen=True)
class TemplateCounts:
    """How many different templates, and how many of those the training set has."""

    unique: int
    in_train: int

    @property
    def new(self) -> int:
        """Unique templates that the training set lacks."""
        return self.unique - self.in_train


def count_templates(generated: list[str], train: list[str]) -> TemplateCounts:
    """Table 1's counts."""
    unique = np.unique(generated)
    return TemplateCounts(len(unique), int(np.isin(unique, np.unique(train)).sum()))
