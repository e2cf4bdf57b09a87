"""Bounds of settings: stated once in the type, used to check the value and to write the JSON schema.

A number carries its bound in its type, ``Annotated[float, Bound(above=0, most=1)]``, a name its registry.  Standard
library only, as `symmcd.settings`.
"""

from __future__ import annotations

import math
import re
import reprlib
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from symmcd.errors import InputError
from symmcd.registry import Registry

LARGEST = 3.4e38
"""Bound of every number that has no nearer one: single precision, in which networks compute, ends there."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_NAMES = {bool: "boolean", int: "integer", float: "number", str: "string"}  # names in JSON schema
_SHORTENED = reprlib.Repr()  # looks no deeper than it shows, which a value from outside may need
_SHORTENED.maxstring = _SHORTENED.maxother = 80
_SHORTENED.maxlist = _SHORTENED.maxdict = 12


@dataclass(frozen=True)
class Bound:
    """Range of a number; NaN and infinity are in none."""

    least: float | None = None
    most: float = LARGEST
    above: float | None = None  # in place of `least`
    below: float | None = None  # in place of `most`
    words: str = ""  # that say it, where these are not enough

    def holds(self, value: float) -> bool:
        """Return whether `value` is within the bounds."""
        low = value > self.above if self.above is not None else self.least is None or value >= self.least
        return low and value <= self.most and (self.below is None or value < self.below)

    def __str__(self) -> str:
        if self.words:
            return self.words
        low = "" if self.least is None else f"at least {self.least:g}"
        low = low if self.above is None else f"above {self.above:g}"
        high = "" if self.most == LARGEST else f"at most {int(self.most) if self.most == int(self.most) else self.most}"
        high = high if self.below is None else f"below {self.below:g}"
        return ", ".join(filter(None, (low, high))) or "a finite number"

    def schema(self) -> dict[str, float]:
        """Keywords of the JSON schema."""
        words = {"exclusiveMinimum": self.above, "minimum": self.least if self.above is None else None}
        words |= {"exclusiveMaximum": self.below, "maximum": self.most if self.below is None else None}
        return {word: limit for word, limit in words.items() if limit is not None}


@dataclass(frozen=True)
class Items:
    """Number of values of a list, and whether each value may occur only once."""

    least: int = 0
    distinct: bool = False
    words: str = "each once"

    def holds(self, values: Any) -> bool:
        """Return whether a list has enough values, and each only once if that is required."""
        return len(values) >= self.least and not (self.distinct and len(set(values)) < len(values))

    def __str__(self) -> str:
        return self.words

    def schema(self) -> dict[str, Any]:
        """Keywords of the JSON schema."""
        return ({"minItems": self.least} if self.least else {}) | ({"uniqueItems": True} if self.distinct else {})


@dataclass(frozen=True)
class Keys:
    """Names that a mapping has, all of them and no others."""

    names: tuple[str, ...]

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Return whether a mapping has these keys."""
        return set(values) == set(self.names)

    def __str__(self) -> str:
        return f"{', '.join(self.names[:-1])} and {self.names[-1]}"

    def schema(self) -> dict[str, Any]:
        """Keywords of the JSON schema."""
        return {"required": list(self.names), "propertyNames": {"enum": list(self.names)}}


@dataclass(frozen=True)
class Pattern:
    """Form of a text: a regular expression of the kind that Python and JavaScript share, and the same in words."""

    expression: str
    words: str

    def holds(self, text: str) -> bool:
        """Return whether `text` has this form."""
        return re.search(self.expression, text) is not None

    def __str__(self) -> str:
        return self.words

    def schema(self) -> dict[str, str]:
        """Keyword of the JSON schema."""
        return {"pattern": self.expression}


@dataclass(frozen=True)
class Named:
    """Name of an entry of a registry (`symmcd.registry`), which installed packages may add to.

    The JSON schema takes any text: it is made once, and does not know which packages a reader has installed.
    """

    registry: Registry[Any]
    others: tuple[str, ...] = ()  # names that are no entries and may stand in its place

    def holds(self, name: str) -> bool:
        """Return whether the registry has such an entry."""
        return name in self.others or name in self.registry

    @property
    def shipped(self) -> tuple[str, ...]:
        """Names that come with symmcd."""
        return (*self.others, *self.registry.shipped)

    def __str__(self) -> str:
        return f"choose one of {', '.join(map(repr, (*self.others, *self.registry)))}"

    def schema(self) -> dict[str, Any]:
        """Keywords of the JSON schema."""
        return {"examples": list(self.shipped)}


@dataclass(frozen=True)
class Spelt:
    """A number that may be given as a text as well, such as a space group by its symbol."""

    read: Callable[[str], int]  # raises InputError

    def holds(self, _value: int) -> bool:
        """True: what could not be read has been refused."""
        return True

    def schema(self) -> dict[str, Any]:
        """Keywords of the JSON schema; they do not describe the allowed texts."""
        return {"type": ["integer", "string"]}


Rule = Bound | Items | Keys | Pattern | Named | Spelt


def checked(name: str, value: Any, hint: Any, *, texts: bool = False) -> Any:
    """`value` as its type `hint` says, whole numbers and lists as that type has them.

    Args:
        name: of the setting, for the error.
        value: from anywhere.
        hint: annotation of the field, with its rules (`typing.get_type_hints` with ``include_extras``).
        texts: numbers and truth values may be texts: Snakemake hands over ``--config 'a={b: 1}'`` as ``'1'``.

    Raises:
        InputError: naming the setting, its value, and the type or bound that it should have.
    """
    hint, rules = parted(hint)
    for rule in rules:
        if isinstance(rule, Spelt) and isinstance(value, str):
            try:
                value = rule.read(value)
            except InputError as error:
                raise InputError(f"{name}: {error}") from None
    value = _typed(name, value, hint, texts=texts)
    for rule in rules:
        if not rule.holds(value):
            raise InputError(f"{name} = {shown(value)}: {rule}")
    if not rules and isinstance(value, float) and not Bound().holds(value):
        raise InputError(f"{name} = {shown(value)}: {Bound()}")
    return value


def schema_of(hint: Any) -> dict[str, Any]:
    """JSON schema of a type with its rules."""
    hint, rules = parted(hint)
    schema = _type_schema(hint)
    for rule in rules:
        words = rule.schema()
        if isinstance(rule, Spelt):
            schema |= words
        elif schema.keys() & words.keys():  # a second pattern
            schema.setdefault("allOf", []).append(words)
        else:
            schema |= words
    return schema


def parted(hint: Any) -> tuple[Any, tuple[Rule, ...]]:
    """A type without its rules, and the rules."""
    if typing.get_origin(hint) is Annotated:
        kind, *rules = typing.get_args(hint)
        return kind, tuple(rule for rule in rules if isinstance(rule, Rule))
    return hint, ()


def _typed(name: str, value: Any, hint: Any, *, texts: bool) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if not isinstance(value, str) or value not in arguments:
            raise InputError(f"{name} = {shown(value)}: choose one of {', '.join(map(repr, arguments))}")
        return value
    if origin is tuple and isinstance(value, list | tuple):
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        if len(kinds) != len(value):
            raise InputError(f"{name} = {shown(value)}: expected {len(kinds)} values")
        pairs = enumerate(zip(value, kinds, strict=True))
        return tuple(checked(f"{name}[{i}]", v, kind, texts=texts) for i, (v, kind) in pairs)
    if _is_mapping(origin) and isinstance(value, Mapping):
        return {str(k): checked(f"{name}.{k}", v, arguments[1], texts=texts) for k, v in value.items()}
    if hint is object and (isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))):
        return value
    if hint is object and isinstance(value, list | tuple):
        return [checked(f"{name}[{i}]", v, object) for i, v in enumerate(value)]
    if texts and isinstance(value, str):
        value = _read(value, hint)
    whole = isinstance(value, int) and not isinstance(value, bool)
    if hint is float and (whole or isinstance(value, float)):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    if hint is int and (whole or (isinstance(value, float) and value.is_integer())):
        return int(value)
    if (hint is bool and isinstance(value, bool)) or (hint is str and isinstance(value, str)):
        return value
    kind = getattr(hint, "__name__", str(hint)) if origin is None else _in_words(origin)
    raise InputError(f"{name} = {shown(value)}: expected {kind}, got {type(value).__name__}")


def _read(text: str, hint: Any) -> Any:
    """The number or truth value that a text names, or the text."""
    if hint is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    if hint not in (int, float) or not _NUMBER.fullmatch(text):
        return text
    try:
        return int(text) if text.lstrip("+-").isdecimal() else float(text)
    except ValueError:  # thousands of digits
        return text


def _type_schema(hint: Any) -> dict[str, Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        several = arguments[-1] is Ellipsis
        length = {} if several else {"minItems": len(arguments), "maxItems": len(arguments)}
        return {"type": "array", "items": schema_of(arguments[0])} | length
    if _is_mapping(origin):
        return {"type": "object", "additionalProperties": schema_of(arguments[1])}
    if hint is object:  # whatever its reader takes
        return {"type": ["boolean", "integer", "number", "string", "array"]}
    return {"type": _NAMES[hint]}


def _is_mapping(origin: Any) -> bool:
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _in_words(origin: Any) -> str:
    return "a mapping" if _is_mapping(origin) else "a list" if origin is tuple else str(origin)


def shown(value: Any) -> str:
    """A value for a message, shortened where it is long."""
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(value, int) and abs(value) >= 10**40:  # Python writes no number of thousands of digits
        return f"a whole number of {value.bit_length() * 3 // 10} digits"
    if isinstance(value, float) and value.is_integer() and 1e5 <= abs(value) < 1e15:
        return f"{value:.0f}"
    return _SHORTENED.repr(value)
