"""Wasserstein distances between properties of sets of crystals (paper, Table 2)."""

from __future__ import annotations

import numpy as np
from scipy.stats import wasserstein_distance


def wasserstein(generated: np.ndarray, reference: np.ndarray) -> float:
    """Wasserstein-1 distance, in the unit of the values; nan if either set is empty."""
    if not len(generated) or not len(reference):
        return float("nan")
    return float(wasserstein_distance(generated, reference))
