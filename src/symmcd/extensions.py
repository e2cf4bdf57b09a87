"""What symmcd can be extended with, a registry each: generation constraints.

An entry is one file and one line here; an installed package offers its own by an entry point of the registry's group
(`symmcd.registry`).  Reading a registry loads no torch, pandas or pymatgen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from symmcd.registry import Registry


@dataclass(frozen=True)
class ConstraintKind:
    """A demand on generated crystals: the argument NAME of `Generator.generate` and ``symmcd generate --NAME``.

    Attributes:
        help: what it demands, in one line.
        read: makes the `symmcd.diffusion.constraints.constraint.Constraint` of a value, which is a text where it comes
            from the command line; raises InputError.
        metavar: of the value in the help; empty: the option has no value, and `read` gets True.
    """

    help: str
    read: Callable[[Any], Any]
    metavar: str = ""


CONSTRAINTS = Registry(
    "constraint",
    "symmcd.constraints",
    ConstraintKind,
    {
        "space_group": "symmcd.diffusion.constraints.space_group:SPACE_GROUP",
        "elements": "symmcd.diffusion.constraints.elements:ELEMENTS",
        "exclude": "symmcd.diffusion.constraints.exclude:EXCLUDE",
        "chemical_system": "symmcd.diffusion.constraints.chemical_system:CHEMICAL_SYSTEM",
        "max_atoms": "symmcd.diffusion.constraints.max_atoms:MAX_ATOMS",
    },
)
