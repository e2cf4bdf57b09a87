"""95 % intervals: Wilson for shares, bootstrap for distances."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

Z = 1.959963984540054  # 97.5 % point of the normal distribution
FLOOR = "_floor"  # ending of a protocol: the same distance of crystals drawn from the reference itself
Z_POWER = 0.8416212335729143  # its 80 % point


def wilson(successes: int, total: int) -> tuple[float, float]:
    """Wilson's score interval of a share, at 95 %; (0, 1) where nothing was counted."""
    if total == 0:
        return 0.0, 1.0
    share = successes / total
    centre = (share + Z**2 / (2 * total)) / (1 + Z**2 / total)
    half = Z / (1 + Z**2 / total) * math.sqrt(share * (1 - share) / total + Z**2 / (4 * total**2))
    # the bounds are exact where nothing or everything was counted; rounding must not say otherwise
    return 0.0 if successes == 0 else centre - half, 1.0 if successes == total else centre + half


def percent(flags: np.ndarray) -> str:
    """Share of flagged ones in % with its interval, as ``64.3 [61.0, 67.4]``; empty where there are none at all."""
    if not len(flags):
        return ""
    low, high = wilson(int(flags.sum()), len(flags))
    return f"{100 * flags.mean():.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def bootstrap(
    statistic: Callable[[np.ndarray], float], values: np.ndarray, seed: int, draws: int = 200
) -> tuple[float, float]:
    """Interval of a non-negative statistic of one sample: value ± 1.96 bootstrap standard errors, cut at 0.

    Not percentiles: distances between distributions are biased upwards by resampling, so that the percentile interval
    can miss the value itself.  (nan, nan) where the sample is empty.
    """
    if len(values) == 0:
        return math.nan, math.nan
    rng = np.random.default_rng(seed)
    resampled = [statistic(values[rng.integers(len(values), size=len(values))]) for _ in range(draws)]
    value, half = statistic(values), Z * float(np.std(resampled, ddof=1))
    return max(0.0, value - half), value + half


def resolvable(share: float, total: int) -> float:
    """Difference of two shares near `share` that two sets of `total` crystals each tell apart.

    At 95 % confidence, found with a probability of 80 %; nan where nothing was counted.
    """
    if total == 0:
        return math.nan
    return (Z + Z_POWER) * math.sqrt(2 * share * (1 - share) / total)
