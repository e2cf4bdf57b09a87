"""All metrics of one crystal, as one row of a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymatgen.core import Structure

from symmcd.errors import InputError, SymmcdError
from symmcd.extensions import METRICS, Metric
from symmcd.structures.checks import is_sound

FIRST = ("id", "status", "formula", "atoms", "elements", "volume", "density")
WHOLE = ("atoms", "elements", "space_group", "space_group_found", "space_group_found_tight")
"""Columns of whole numbers that may be missing."""
FLAGS = ("structurally_valid", "structurally_valid_strict", "compositionally_valid", "valid")
UNDECIDED = ("timed_out", "too_many", "no_data")  # what becomes of a composition that is neither valid nor invalid


@dataclass(frozen=True, eq=False)
class Crystal:
    """A crystal as metrics of a crystal see it."""

    structure: Structure  # conventional cell, in the standard setting where `space_group` is given
    space_group: int | None  # the one asked for; None if nothing was
    symprec: float  # Å, tolerance of the symmetry search
    smact_seconds: float  # time limit of the composition test


def columns() -> tuple[str, ...]:
    """Columns of the table: those of our own metrics, then those that were added to the registry.

    Raises:
        InputError: two metrics have a column of one name.
    """
    names = [*FIRST, *(name for _, metric in _shipped() for name in metric.quantities), "detail"]
    for metric, entry in added_metrics():
        for name in entry.quantities:
            if name in names:
                raise InputError(f"metric {metric!r} has a column {name!r}, and there is one already; rename it")
            names.append(name)
    return tuple(names)


def added_metrics() -> list[tuple[str, Metric]]:
    """Metrics of a crystal that were added to the registry, by this process or by installed packages."""
    entries = [(name, METRICS[name]) for name in METRICS if name not in METRICS.shipped]
    return [(name, metric) for name, metric in entries if metric.of == "crystal"]


def _shipped() -> list[tuple[str, Metric]]:
    return [(name, METRICS[name]) for name in METRICS.shipped if METRICS[name].of == "crystal"]


def score(
    structure: Structure,
    space_group: int | None,
    symprec: float,
    smact_seconds: float,
    added: Sequence[tuple[str, Metric]] | None = None,
) -> dict[str, Any]:
    """All per-crystal metrics of one crystal.

    Args:
        structure: conventional cell in the standard setting where `space_group` is given.
        space_group: the one asked for; None if nothing was.
        symprec: Å, of `space_group_found`.
        smact_seconds: time limit of the composition test.
        added: `added_metrics` of another process; those of this one where not given.

    Returns:
        One value for each of `columns` but ``id``; ``status`` is ``ok`` or names what could not be computed:
        ``no_space_group``, ``composition_timed_out``, ``composition_too_many``, ``composition_no_data``,
        ``bad_cell``, ``out_of_memory``, ``failed:<error>``, and ``<metric>_failed:<error>`` of a metric that was added
        to the registry, whose columns are blank then.
    """
    if not is_sound(structure.lattice.matrix, structure.frac_coords):
        volume = abs(np.linalg.det(structure.lattice.matrix))
        return unscored("bad_cell", space_group, structure.composition.reduced_formula, f"volume {volume:.3g} Å³")
    crystal = Crystal(structure, space_group, symprec, smact_seconds)
    try:
        row = _score(crystal)
    except Exception as error:  # noqa: BLE001  (one broken crystal must not end a run of thousands; the table has the message)
        status = "out_of_memory" if isinstance(error, MemoryError) else f"failed:{type(error).__name__}"
        return unscored(status, space_group, structure.composition.reduced_formula, str(error).replace("\n", " "))
    return _with_added(row, crystal, added_metrics() if added is None else added)


def unscored(
    status: str, space_group: int | None = None, formula: str | None = None, detail: str | None = None
) -> dict[str, Any]:
    """The row of a crystal that could not be scored: invalid in every respect, and counted as such."""
    row: dict[str, Any] = dict.fromkeys(columns()[1:]) | dict.fromkeys(FLAGS, False)
    kept = None if space_group is None else False
    return row | {
        "status": status, "formula": formula, "space_group": space_group, "group_kept": kept, "detail": detail,
    }  # fmt: skip


def _score(crystal: Crystal) -> dict[str, Any]:
    structure = crystal.structure
    row: dict[str, Any] = {
        "status": "ok",
        "formula": structure.composition.reduced_formula,
        "atoms": len(structure),
        "elements": len(structure.composition),
        "volume": round(structure.volume, 4),
        "density": round(float(structure.density), 6),
    }
    for _, metric in _shipped():
        row |= metric.load()(crystal)
    problems = ["no_space_group"] if row["space_group_found"] is None else []
    problems += [f"composition_{row['composition']}"] if row["composition"] in UNDECIDED else []
    return row | {"status": ";".join(problems) or "ok", "detail": None}


def _with_added(row: dict[str, Any], crystal: Crystal, added: Sequence[tuple[str, Metric]]) -> dict[str, Any]:
    """The row with the columns of added metrics; one that fails leaves its columns blank and says so."""
    problems, details = [], []
    for name, metric in added:
        row |= dict.fromkeys(metric.quantities)
        try:
            values = metric.load()(crystal)
        except Exception as error:  # noqa: BLE001  (as in `score`: a plugin may fail on one crystal in any way)
            problems.append(f"{name}_failed:{type(error).__name__}")
            details.append(f"{name}: {error}".replace("\n", " "))
        else:
            row |= _plain(name, metric, values)
    if problems:
        row["status"] = ";".join(filter(lambda status: status != "ok", [row["status"], *problems]))
        row["detail"] = "; ".join(details)
    return row


def _plain(name: str, metric: Metric, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of the columns that a metric announces, as plain numbers and texts that a table keeps.

    Raises:
        SymmcdError: other columns, or values that are no single numbers or texts.
    """
    plain: dict[str, Any] = {}
    for column, value in values.items():
        if column not in metric.quantities:
            raise SymmcdError(f"metric {name!r} gave a column {column!r}; add it to its quantities")
        single = value.item() if isinstance(value, np.generic) else value
        if not isinstance(single, str | int | float | bool | None):
            raise SymmcdError(f"metric {name!r}: {column} is {single!r:.60}, expected a number, a text or None")
        plain[column] = None if isinstance(single, float) and math.isnan(single) else single
    return plain
