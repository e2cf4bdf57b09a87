"""Ranges of numbers as people write them: ``4-8``, ``6``, ``4-`` for at least 4, ``-8`` for at most 8."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from numbers import Real

from symmcd.errors import InputError

_RANGE = re.compile(r"\s*(\d+(?:\.\d+)?)?\s*([-–]|\.\.)?\s*(\d+(?:\.\d+)?)?\s*")


def whole_range(value: int | str | Sequence[int], most: int) -> tuple[int, int]:
    """Smallest and largest whole number of a range, both from 1 to `most`; one number is a range of itself.

    Raises:
        InputError: no such range.
    """
    low, high = _ends(value, 1, most, f"a whole number or a range from 1 to {most}, as 6 or 4-8")
    if low != int(low) or high != int(high) or low < 1 or high > most:
        raise InputError(f"{value!r:.40}: expected a whole number or a range from 1 to {most}, such as 6 or 4-8")
    return int(low), int(high)


def real_range(value: str | Sequence[float], unit: str, example: str) -> tuple[float, float]:
    """Smallest and largest number of a range, above 0 and the second larger; it may end at infinity.

    Args:
        value: of the user.
        unit, example: for the message.

    Raises:
        InputError: no such range, or a single number: no geometry has a number exactly.
    """
    words = f"a range in {unit}, as {example}"
    low, high = _ends(value, 0.0, math.inf, words)
    if not 0 <= low < high:
        raise InputError(f"{value!r:.40}: expected {words}")
    return float(low), float(high)


def words_of(low: float, high: float, least: float = 1) -> str:
    """``4 to 8``, ``6``, ``at least 4``, ``at most 8``."""
    if low == high:
        return f"{low:g}"
    if math.isinf(high):
        return f"at least {low:g}"
    return f"at most {high:g}" if low <= least else f"{low:g} to {high:g}"


def _ends(value: float | str | Sequence[float], least: float, most: float, words: str) -> tuple[float, float]:
    if isinstance(value, str):
        found = _RANGE.fullmatch(value)
        if not found or not (found[1] or found[3]):
            raise InputError(f"{value!r:.40}: expected {words}")
        if not found[2]:
            return float(found[1] or found[3]), float(found[1] or found[3])
        low, high = float(found[1] or least), float(found[3] or most)
    elif isinstance(value, Real) and not isinstance(value, bool):
        low = high = float(value)
    elif isinstance(value, range) and len(value) and value.step == 1:
        low, high = value[0], value[-1]
    elif isinstance(value, Sequence) and len(value) == 2 and all(isinstance(end, Real | None) for end in value):
        low, high = (least if value[0] is None else float(value[0])), (most if value[1] is None else float(value[1]))
    else:
        raise InputError(f"{value!r:.40}: expected {words}")
    if not low <= high:
        raise InputError(f"{value!r:.40}: expected {words}")
    return low, high
