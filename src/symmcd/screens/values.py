"""Work of a worker process for a crystal: the values of some screens."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from symmcd.extensions import SCREENS
from symmcd.screens import bonds, chemistry, relaxation, voids  # noqa: F401  (loaded before a crystal's time begins)
from symmcd.screens.crystal import ScreenedCrystal, Value
from symmcd.workers import alive


def values_of(item: tuple[ScreenedCrystal, Sequence[str]]) -> dict[str, Value]:
    """Values of some screens of one crystal; None if one fails."""
    crystal, names = item
    functions = {name: SCREENS[name].load() for name in names}
    alive()  # what packages took to be imported is not the crystal's time
    return {name: _value(function, crystal) for name, function in functions.items()}


def _value(function: Callable[[Any], Any], crystal: ScreenedCrystal) -> Value:
    try:
        value: Value = function(crystal)
    except (ValueError, ArithmeticError, LookupError, RuntimeError, AttributeError, TypeError):
        return None  # a crystal that it can say nothing of; the column is empty
    return None if isinstance(value, float) and not math.isfinite(value) else value
