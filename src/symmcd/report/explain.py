"""Explanations of the rates of sun.csv, and of any number that the report shows."""

from __future__ import annotations

from symmcd.extensions import Quantity, quantities
from symmcd.stability.doubts import WORDS

SUN: dict[str, Quantity] = {
    "initially_stable": Quantity(
        "stable as generated", "Energy as generated at or below the threshold above the hull.", "%", "more"
    ),
    "relaxed_stable": Quantity(
        "stable after relaxation",
        "Energy after relaxation at or below the threshold above the hull.",
        "%",
        "more",
    ),
    "stable_unique": Quantity(
        "stable, unique", "Stable after relaxation and the first of its kind among the stable crystals.", "%"
    ),
    "stable_novel": Quantity("stable, novel", "Stable after relaxation and unlike every training crystal.", "%"),
    "sun": Quantity(
        "S.U.N.",
        "Stable after relaxation, unlike every training crystal, and the first of its kind among the crystals that are "
        "both.",
        "%",
        "more",
    ),
    "sun_valid": Quantity("S.U.N. and valid", "S.U.N., and as generated structurally and compositionally valid.", "%"),
    "sun_undoubted": Quantity(
        "S.U.N. without doubts",
        f"S.U.N., and none of: {', '.join(WORDS.values())}.",
        "%",
    ),
    "sun_elsewhere_new": Quantity(
        "S.U.N., new to all splits",
        "S.U.N., and unlike every crystal of the validation and test sets too, which were not trained on.",
        "%",
    ),
    "symmetry_kept": Quantity(
        "symmetry kept", "spglib finds the same space group (0.1 Å) before and after relaxation.", "%"
    ),
}


def known(name: str) -> Quantity | None:
    """Words on a metric of summary.csv or a rate of sun.csv; None of one that nobody has described."""
    return quantities().get(name) or SUN.get(name)


def described(name: str) -> Quantity:
    """Words on a metric or rate; one that nobody has described has its name for a label."""
    return known(name) or Quantity(name, "")
