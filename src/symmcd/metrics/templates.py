"""How many different templates a set has, and how many of those the training set has too (paper, Table 1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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
