"""Named things that others may add: models, potentials, metrics, constraints, data sources.

A registry holds what ships with symmcd, what this process has added (`Registry.add`), and what installed packages
offer as entry points (``[project.entry-points."symmcd.potentials"]`` in their pyproject.toml).  An entry is a light
object that describes a thing and loads it on demand: reading a registry loads no torch.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Generic, TypeVar

from symmcd.errors import InputError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Entry = TypeVar("Entry")


class Registry(Generic[Entry]):
    """Entries by name, in order: shipped, added by this process, offered by installed packages.

    Args:
        noun: what an entry is called in messages, such as "potential".
        group: name of the entry points, such as "symmcd.potentials".
        kind: class of every entry.
        shipped: name → ``module:attribute``, imported when it is first asked for.
    """

    def __init__(self, noun: str, group: str, kind: type[Entry], shipped: Mapping[str, str]) -> None:
        self.noun = noun
        self.group = group
        self.kind = kind
        self._shipped = dict(shipped)
        self._loaded: dict[str, Entry] = {}
        self._added: dict[str, Entry] = {}
        self._offered: dict[str, EntryPoint] | None = None  # None: not looked for yet

    def __getitem__(self, name: str) -> Entry:
        """The entry called `name`.

        Raises:
            InputError: there is none (with the nearest name), or the package that offers it cannot be loaded.
        """
        if name in self._added:
            return self._added[name]
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        """Whether there is an entry of this name; loads nothing."""
        return name in self._shipped or name in self._added or name in self._installed()

    def __iter__(self) -> Iterator[str]:
        """Names of all entries; loads none of them."""
        return iter((*self._shipped, *self._added, *self._installed()))

    def __len__(self) -> int:
        return len(self._shipped) + len(self._added) + len(self._installed())

    @property
    def shipped(self) -> tuple[str, ...]:
        """Names that come with symmcd."""
        return tuple(self._shipped)

    def add(self, name: str, entry: Entry) -> None:
        """Add an entry for the rest of this process; its worker processes do not have it.

        Raises:
            InputError: the name is taken.
            TypeError: not of the registry's kind.
        """
        if name in self:
            raise InputError(f"there is a {self.noun} named {name!r} already; choose another name")
        self._added[name] = self._checked(name, entry, "the call")

    def remove(self, name: str) -> None:
        """Take back what `add` added."""
        del self._added[name]

    def _load(self, name: str) -> Entry:
        if name in self._shipped:
            module, _, attribute = self._shipped[name].partition(":")
            return self._checked(name, getattr(importlib.import_module(module), attribute), module)
        point = self._installed().get(name)
        if point is None:
            near = difflib.get_close_matches(name, self, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(self)}"
            raise InputError(f"no {self.noun} named {name[:60]!r}; {advice}")
        package = point.dist.name if point.dist else point.value
        try:
            entry = point.load()
        except Exception as error:  # a plugin may fail in any way, and this one says whose fault it is
            raise InputError(
                f"{self.noun} {name!r} of the package {package} cannot be loaded "
                f"({type(error).__name__}: {error}); mend or uninstall that package"
            ) from error
        return self._checked(name, entry, f"the package {package}")

    def _checked(self, name: str, entry: object, where: str) -> Entry:
        if not isinstance(entry, self.kind):
            raise TypeError(f"{self.noun} {name!r} of {where}: expected a {self.kind.__name__}, got {entry!r:.60}")
        return entry

    def _installed(self) -> dict[str, EntryPoint]:
        """Entry points of installed packages.

        Raises:
            InputError: one has the name of another entry.
        """
        if self._offered is None:
            import importlib.metadata  # a fifth of the time of `symmcd --help`, which asks no registry

            offered: dict[str, EntryPoint] = {}
            for point in sorted(importlib.metadata.entry_points(group=self.group), key=lambda p: (p.name, p.value)):
                if point.name in self._shipped or (point.name in offered and offered[point.name].value != point.value):
                    package = point.dist.name if point.dist else point.value
                    raise InputError(
                        f"the package {package} offers a {self.noun} named {point.name!r}, and there is one already; "
                        "uninstall that package"
                    )
                offered[point.name] = point
            self._offered = offered
        return self._offered
