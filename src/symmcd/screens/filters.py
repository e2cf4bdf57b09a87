"""Filters of crystals by their screens: ``dimensionality=2``, ``channel>=1``, ``radioactive=no``."""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from symmcd.errors import InputError
from symmcd.extensions import SCREENS
from symmcd.screens.crystal import Value

OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le, ">=": operator.ge, "!=": operator.ne, "<": operator.lt, ">": operator.gt, "=": operator.eq,
}  # fmt: skip
NOTHING, SOMETHING = ("no", "none", "false"), ("yes", "any", "true")  # values for a screen that is a text
SAME = 5e-5  # numbers are kept to four decimals, and those nearer than this are equal
EXAMPLES = "'dimensionality=2', 'channel>=1' or 'radioactive=no', in quotes"


@dataclass(frozen=True)
class Filter:
    """A demand on the value of one screen.

    Attributes:
        screen: of `SCREENS`.
        relation: of `OPERATORS`.
        wanted: a number; of a screen that is a text a word of it, or whether it says anything at all.
    """

    screen: str
    relation: str
    wanted: float | str | bool

    @classmethod
    def read(cls, text: str) -> Filter:
        """Read from a screen, a relation and a value.

        A screen that is a text knows ``=`` and ``!=``, and beside words ``no`` and ``yes``: it says nothing, or
        something.

        Raises:
            InputError: not of this form, no such screen, or a value that the screen never has.
        """
        found = re.fullmatch(r"\s*([\w.-]+?)\s*(<=|>=|!=|==|<|>|=)\s*([^\s<>=!]+)\s*", str(text))
        if not found:
            raise InputError(f"{text!r:.60}: expected a screen, a relation and a value, as {EXAMPLES}")
        name, relation, value = found[1], found[2].replace("==", "="), found[3]
        if name not in SCREENS and name.replace("-", "_") in SCREENS:
            name = name.replace("-", "_")
        if name not in SCREENS:
            near = difflib.get_close_matches(name, SCREENS, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(SCREENS)}"
            raise InputError(f"{text!r:.60}: there is no screen {name!r:.40}; {advice}")
        if not SCREENS[name].text:
            return cls(name, relation, _number(text, name, value))
        if relation not in ("=", "!="):
            raise InputError(f"{text!r:.60}: the screen {name} is a text; give {name}=no, {name}=yes or a word of it")
        if value.lower() in NOTHING + SOMETHING:
            return cls(name, relation, value.lower() in SOMETHING)
        return cls(name, relation, value)

    def passes(self, value: Value) -> bool:
        """Return whether a crystal with this value is kept; one without a known value is not."""
        if value is None:
            return False
        if isinstance(self.wanted, bool):
            return (bool(value) is self.wanted) == (self.relation == "=")
        if isinstance(self.wanted, str):
            return (self.wanted in str(value).split()) == (self.relation == "=")
        number = float(value)
        same = math.isclose(number, self.wanted, rel_tol=0.0, abs_tol=SAME)
        if self.relation in ("=", "!="):
            return same == (self.relation == "=")
        return (same and "=" in self.relation) or (not same and OPERATORS[self.relation](number, self.wanted))

    def __str__(self) -> str:
        wanted = self.wanted
        shown = ("yes" if wanted else "no") if isinstance(wanted, bool) else wanted if isinstance(wanted, str) else None
        return f"{self.screen}{self.relation}{f'{wanted:g}' if shown is None else shown}"

    def failure(self, value: Value) -> str:
        """Value of a crystal that is not kept, such as ``channel>=1: 0.42``."""
        shown = "not known" if value is None else f"{value:g}" if isinstance(value, int | float) else value or "none"
        return f"{self}: {shown}"


def _number(text: str, name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        unit = f" in {SCREENS[name].unit}" if SCREENS[name].unit else ""
        raise InputError(f"{text!r:.60}: the screen {name} is a number{unit}, not {value!r:.40}")
    return number


def read_filters(given: str | Iterable[str], run: Collection[str]) -> tuple[Filter, ...]:
    """Filters of texts, each once.

    Args:
        given: as `Filter.read` takes them.
        run: names of the screens that are run.

    Raises:
        InputError: one that cannot be read, or is on a screen that is not run.
    """
    filters = tuple(dict.fromkeys(map(Filter.read, [given] if isinstance(given, str) else given)))
    for wanted in filters:
        if wanted.screen not in run:
            package = SCREENS[wanted.screen].package
            how = f"run `pip install {package}` and add it" if package else "add it"
            raise InputError(f"'{wanted}': this screen is not run; {how} to the screens, or leave the filter out")
    return filters


def failures(filters: Iterable[Filter], values: Mapping[str, Value]) -> list[str]:
    """Filters that a crystal does not pass; empty: it is kept.

    Args:
        filters: all of which it has to pass.
        values: of its screens, by name.
    """
    return [f.failure(values.get(f.screen)) for f in filters if not f.passes(values.get(f.screen))]
