"""Screens of many crystals in several processes, each crystal under a time limit."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version

from symmcd.errors import InputError
from symmcd.extensions import SCREENS
from symmcd.registry import loaded
from symmcd.screens.crystal import ScreenedCrystal, Value
from symmcd.workers import cores, work

SECONDS = 60.0  # wall-clock limit of the quick screens of a crystal together, and of each slow one


def usable() -> list[str]:
    """Names of the screens whose packages are installed, in order."""
    return [name for name in SCREENS if installed(SCREENS[name].package)]


def installed(package: str) -> bool:
    """Return whether a package is there, by its name in pip or in Python; nothing is imported."""
    try:
        return not package or bool(version(package))
    except PackageNotFoundError:
        return package.isidentifier() and importlib.util.find_spec(package) is not None


def check_screens(names: Iterable[str]) -> None:
    """Refuse screens that cannot run, before any work.

    Raises:
        InputError: no such screen, one whose package is not installed, or one that cannot work for another reason.
    """
    for name in names:
        if not installed(package := SCREENS[name].package):
            raise InputError(f"screen {name!r}: the package {package!r} is not installed; run `pip install {package}`")
        if SCREENS[name].check:
            loaded(SCREENS[name].check)()


def screened(
    crystals: Sequence[ScreenedCrystal],
    names: Sequence[str] | None = None,
    *,
    processes: int = 0,
    seconds: float = SECONDS,
) -> list[dict[str, Value]]:
    """Values of screens of each crystal, by their names; None if a screen fails or takes too long.

    Args:
        crystals: that are ordered; others, and cells without a volume, come to None.
        names: of `symmcd.extensions.SCREENS`; None: all that are `usable`.
        processes: 0: one per core; they end with the last crystal.
        seconds: limit of the quick screens of a crystal together, and of each slow one.

    Raises:
        InputError: no such screen, or one whose package is not installed.
    """
    asked = usable() if names is None else list(names)
    check_screens(asked)
    quick = [name for name in asked if not SCREENS[name].slow]
    lots = [lot for lot in (quick, *([name] for name in asked if SCREENS[name].slow)) if lot]
    values: list[dict[str, Value]] = [dict.fromkeys(asked) for _ in crystals]
    items = [(crystal, lot) for crystal in crystals for lot in lots]
    owner = [row for row in range(len(crystals)) for _ in lots]
    for index, outcome in work(
        "symmcd.screens.values:values_of", items, min(processes or cores(), len(items)), seconds
    ):
        if outcome.status == "ok":
            values[owner[index]] |= outcome.value
    return values
