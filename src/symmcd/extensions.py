"""What symmcd can be extended with, a registry each: generation constraints, metrics.

An entry is one file and one line here; an installed package offers its own by an entry point of the registry's group
(`symmcd.registry`).  Reading a registry loads no torch, pandas or pymatgen.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

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

NEEDS = ("train", "reference", "fingerprints", "predictor")
"""What a number may need beside the crystals: training set, reference set, fingerprints, predicted energies."""


@dataclass(frozen=True)
class Quantity:
    """A number that a metric gives: rows of summary.csv, or a column of per_crystal.csv."""

    label: str  # a few words; what follows an underscore is a subscript
    sentence: str  # what is counted; plain text that ends with a full stop
    unit: str = ""  # "%", "Å", "eV/atom" …; empty for what has none
    better: Literal["", "more", "less"] = ""  # empty where neither is a merit by itself
    protocols: tuple[str, ...] = ("strict",)  # of the rows; a column has none
    needs: frozenset[str] = frozenset()  # of `NEEDS`; left out where one is not there

    def __post_init__(self) -> None:
        """Refuse what nobody could give.

        Raises:
            ValueError: an unknown need.
        """
        if unknown := self.needs - {*NEEDS}:
            raise ValueError(f"{self.label}: needs {', '.join(sorted(unknown))}; choose from {', '.join(NEEDS)}")


@dataclass(frozen=True)
class Metric:
    """Numbers that are computed together, of each crystal or of a set.

    Attributes:
        of: "crystal": `function` takes a `symmcd.metrics.crystal_scores.Crystal` and returns a mapping, the values of
            columns of per_crystal.csv; "set": it takes a `symmcd.metrics.set_summary.CrystalSet` and returns
            `symmcd.metrics.rows.Row`s of summary.csv.
        function: ``module:attribute``, imported when it is first called.
        quantities: by name of row or column, in order.
    """

    of: Literal["crystal", "set"]
    function: str
    quantities: Mapping[str, Quantity]

    def load(self) -> Callable[[Any], Any]:
        """The function itself."""
        module, _, attribute = self.function.partition(":")
        loaded: Callable[[Any], Any] = getattr(importlib.import_module(module), attribute)
        return loaded


METRICS = Registry(
    "metric",
    "symmcd.metrics",
    Metric,
    {  # in the order of columns and rows
        "crystal_symmetry": "symmcd.metrics.of_crystal.symmetry:METRIC",
        "crystal_validity": "symmcd.metrics.of_crystal.validity:METRIC",
        "validity": "symmcd.metrics.of_set.validity:METRIC",
        "symmetry": "symmcd.metrics.of_set.symmetry:METRIC",
        "templates": "symmcd.metrics.of_set.templates:METRIC",
        "coverage": "symmcd.metrics.of_set.coverage:METRIC",
        "distributions": "symmcd.metrics.of_set.distributions:METRIC",
        "originality": "symmcd.metrics.of_set.originality:METRIC",
        "set_size": "symmcd.metrics.of_set.set_size:METRIC",
        "energy_predictor": "symmcd.metrics.of_set.energy_predictor:METRIC",
    },
)


def quantities(of: Literal["crystal", "set"] = "set") -> dict[str, Quantity]:
    """Numbers of all metrics of this kind by name: rows of summary.csv, or columns of per_crystal.csv."""
    metrics = (METRICS[name] for name in METRICS)
    return {name: number for metric in metrics if metric.of == of for name, number in metric.quantities.items()}
