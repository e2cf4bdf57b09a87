"""Registries of named entries that packages may extend: models, potentials, metrics, constraints, data sources.

A registry holds what ships with symmcd, what this process has added (`Registry.add`), and what installed packages
offer as entry points (``[project.entry-points."symmcd.potentials"]`` in their pyproject.toml).  An entry is a light
object that describes a thing and loads it on demand: reading a registry loads no torch.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from symmcd.errors import InputError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Entry = TypeVar("Entry")


def loaded(place: str) -> Any:
    """The attribute that ``module:attribute`` names; the module is imported."""
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute)


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
        self._offered: dict[str, list[EntryPoint]] | None = None  # None: not looked for yet

    def __getitem__(self, name: str) -> Entry:
        """The entry called `name`.

        Raises:
            InputError: there is none (with the nearest name), two packages offer it, or the package that does cannot
                be loaded or offers another thing.
        """
        if name in self._added:
            return self._added[name]
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        """Return whether there is an entry of this name; loads nothing."""
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
        """Remove an entry that `add` added."""
        del self._added[name]

    def _load(self, name: str) -> Entry:
        if name in self._shipped:
            place = self._shipped[name]
            return self._checked(name, loaded(place), place.partition(":")[0])
        points = self._installed().get(name)
        if points is None:
            near = difflib.get_close_matches(name, self, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(self)}"
            raise InputError(f"no {self.noun} named {name[:60]!r}; {advice}")
        if len(points) > 1:
            packages = " and ".join(map(_package, points))
            raise InputError(f"the packages {packages} both offer a {self.noun} named {name!r}; uninstall one of them")
        package = _package(points[0])
        try:
            entry = points[0].load()
        except (Exception, SystemExit) as error:  # a plugin may fail in any way, and this one says whose fault it is
            raise InputError(
                f"{self.noun} {name!r} of the package {package} cannot be loaded "
                f"({type(error).__name__}: {error}); fix or uninstall that package"
            ) from error
        try:
            return self._checked(name, entry, f"the package {package}")
        except TypeError as error:
            raise InputError(f"{error}; fix or uninstall that package") from None

    def _checked(self, name: str, entry: object, where: str) -> Entry:
        if not isinstance(entry, self.kind):
            raise TypeError(f"{self.noun} {name!r} of {where}: expected a {self.kind.__name__}, got {entry!r:.60}")
        return entry

    def _installed(self) -> dict[str, list[EntryPoint]]:
        """Entry points of installed packages by name, more than one where packages offer the same name.

        What has the name of a shipped entry is not used, and that is said once.
        """
        if self._offered is None:
            import importlib.metadata  # a fifth of the time of `symmcd --help`, which asks no registry

            self._offered = {}
            for point in sorted(importlib.metadata.entry_points(group=self.group), key=lambda p: (p.name, p.value)):
                offers = self._offered.setdefault(point.name, [])
                if point.value not in [other.value for other in offers]:  # a package may be found in two folders
                    offers.append(point)
            for name in self._shipped.keys() & self._offered.keys():
                for point in self._offered.pop(name):
                    print(
                        f"symmcd: the package {_package(point)} offers a {self.noun} named {name!r}, and there is one "
                        "already, which is used; fix or uninstall that package",
                        file=sys.stderr,
                    )
        return self._offered


def _package(point: EntryPoint) -> str:
    """Name of the package that offers an entry point."""
    return str(point.dist.name) if point.dist else point.value
