"""Space groups by what they have in common: crystal system, point group, polar, chiral, with or without a centre."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from symmcd.crystallography.point_group import (
    CENTRED,
    ENANTIOMORPHIC,
    POINT_GROUPS,
    POLAR,
    ROTATIONS,
    SYSTEMS,
    crystal_system,
    groups_of,
)
from symmcd.diffusion.constraints.space_group import SpaceGroup
from symmcd.errors import InputError
from symmcd.extensions import ConstraintKind


def _named(value: str | Iterable[str], known: Mapping[str, int], noun: str) -> list[str]:
    """Those of `known` that a text or a list names, in its own order.

    Raises:
        InputError: none, or another name.
    """
    names = re.split(r"[,;\s]+", value.strip()) if isinstance(value, str) else list(value)
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise InputError(f"no {noun} {str(name)[:40]!r}; {advice}")
    return [name for name in known if name in names]


def system_of(value: str | Iterable[str]) -> SpaceGroup:
    """Groups of one or several crystal systems."""
    lower = value.lower() if isinstance(value, str) else [str(name).lower() for name in value]
    names = _named(lower, SYSTEMS, "crystal system")
    numbers = tuple(number for number in range(1, 231) if crystal_system(number) in names)
    return SpaceGroup(numbers, f"a {' or '.join(names)} space group")


def point_group_of(value: str | int | Iterable[str]) -> SpaceGroup:
    """Groups of one or several point groups."""
    names = _named(str(value) if isinstance(value, int) else value, POINT_GROUPS, "point group")
    return SpaceGroup(groups_of(*names), f"the point group {' or '.join(names)}")


def _always(numbers: Callable[[], tuple[int, ...]], words: str) -> Callable[[Any], SpaceGroup]:
    def read(value: Any) -> SpaceGroup:
        if value is not True and str(value).lower() != "true":  # a text, where Snakemake hands it over
            raise InputError(f"{value!r:.40}: this wish takes no value; expected True")
        return SpaceGroup(numbers(), words)

    return read


CRYSTAL_SYSTEM = ConstraintKind("crystal systems, such as cubic or trigonal,hexagonal", system_of, metavar="NAME,…")
POINT_GROUP = ConstraintKind("point groups, such as m-3m or mm2,4mm", point_group_of, metavar="SYMBOL,…")
POLAR_GROUPS = ConstraintKind(
    "a polar space group (68 of them)", _always(lambda: groups_of(*POLAR), "a polar space group")
)
CHIRAL = ConstraintKind(
    "a group of rotations and screws alone, in which chiral crystals exist (the 65 Sohncke groups)",
    _always(lambda: groups_of(*ROTATIONS), "a Sohncke space group"),
)
ENANTIOMORPHIC_GROUPS = ConstraintKind(
    "a group that is not its own mirror image (22, in 11 pairs)",
    _always(lambda: tuple(sorted(ENANTIOMORPHIC)), "an enantiomorphic space group"),
)
CENTROSYMMETRIC = ConstraintKind(
    "a space group with a centre of symmetry (92)",
    _always(lambda: groups_of(*CENTRED), "a centrosymmetric space group"),
)
NONCENTROSYMMETRIC = ConstraintKind(
    "a space group without one (138)",
    _always(
        lambda: groups_of(*(name for name in POINT_GROUPS if name not in CENTRED)), "a space group without a centre"
    ),
)
