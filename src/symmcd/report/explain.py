"""What each metric means, in one sentence; its unit; and the value published for SymmCD (Levy et al., ICLR 2025)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

PUBLICATION = "Levy et al., SymmCD, ICLR 2025, tables 1 to 3 (MP-20, all space groups)"


@dataclass(frozen=True)
class Metric:
    label: str
    sentence: str  # HTML-free; says what is counted
    unit: str = ""  # "%" or nothing
    paper: str = ""  # digits as published
    better: str = ""  # "more", "less", or nothing where neither is a merit by itself


METRICS: dict[str, Metric] = {
    "structural_validity": Metric(
        "structurally valid",
        "No two atoms closer than 0.5 Å, a volume of at least 0.1 Å³ and no cell length above 40 Å.",
        "%",
        "94.32",
        "more",
    ),
    "compositional_validity": Metric(
        "compositionally valid",
        "Common oxidation states of its elements can balance to zero charge (SMACT), or it is an alloy.",
        "%",
        "85.85",
        "more",
    ),
    "validity": Metric("valid both ways", "Structurally and compositionally valid.", "%"),
    "density_wasserstein": Metric(
        "d_ρ, density",
        "Wasserstein distance between the densities of generated and test crystals, g/cm³.",
        "",
        "0.0901",
        "less",
    ),
    "element_count_wasserstein": Metric(
        "d_elem, elements per crystal",
        "Wasserstein distance between the numbers of distinct elements of generated and test crystals.",
        "",
        "0.3990",
        "less",
    ),
    "space_group_jsd": Metric(
        "d_sg, space groups",
        "Jensen–Shannon distance between the space groups of generated and test crystals: 0 if equal, 0.83 disjoint; "
        "small samples score higher.",
        "",
        "0.0899",
        "less",
    ),
    "group_kept": Metric(
        "symmetry exact", "Every operation of the space group that was asked for holds to 0.001 Å.", "%"
    ),
    "group_found": Metric(
        "symmetry found", "spglib finds the very space group that was asked for, at the tolerance of the settings.", "%"
    ),
    "share_p1": Metric("P1", "spglib finds no symmetry beyond translations.", "%"),
    "templates_unique": Metric(
        "unique templates", "Distinct combinations of space group and occupied Wyckoff positions.", "", "2,794"
    ),
    "templates_in_train": Metric(
        "templates in training", "Share of the unique templates that training crystals have too.", "%", "40.8"
    ),
    "templates_new": Metric("new templates", "Unique templates that no training crystal has.", "", "1,654"),
    "templates_canonical_unique": Metric(
        "unique templates, canonical",
        "Distinct templates after the choice of origin and axes has been taken out: two descriptions of one arrangement"
        " count once.",
    ),
    "templates_canonical_in_train": Metric(
        "canonical templates in training", "Share of the canonical templates that training crystals have too.", "%"
    ),
    "templates_canonical_new": Metric(
        "new templates, canonical", "Canonical templates that no training crystal has, however it is described."
    ),
    "coverage_recall": Metric(
        "coverage, recall",
        "Test crystals with a generated crystal near them, by a fingerprint of the structure (CrystalNN) and one of the"
        " composition (Magpie).",
        "%",
        "99.64",
        "more",
    ),
    "coverage_precision": Metric(
        "coverage, precision",
        "Generated crystals with a test crystal near them, by the same fingerprints.",
        "%",
        "98.87",
        "more",
    ),
    "formation_energy_wasserstein": Metric(
        "d_E, formation energy",
        "Wasserstein distance between the formation energies of generated and test crystals, both predicted by the same"
        " network, eV/atom.",
        "",
        "0.1166",
        "less",
    ),
    "formation_energy_error": Metric(
        "error of the predictor of d_E",
        "Mean absolute error of its formation energies on the test set, eV/atom; the paper's has 0.0214 (its Table 5).",
    ),
    "resolvable_difference": Metric(
        "smallest difference shown",
        "Two sets of this size with shares near 50 % are told apart from so many points on (95 %, power 80 %).",
    ),
    "uniqueness": Metric("unique", "The first of its kind: no earlier crystal of the sample matches it.", "%"),
    "novelty": Metric("novel", "No training crystal matches it (pymatgen's StructureMatcher, defaults).", "%"),
    "unique_novelty": Metric("unique and novel", "The first of its kind, and no training crystal matches it.", "%"),
    "prototype_novelty": Metric(
        "novel prototype",
        "No training crystal of the same space group matches it even after its elements are exchanged for others:"
        " what is left is no substitution in a known structure.",
        "%",
    ),
    "prototype_novelty_valid": Metric(
        "novel prototype, of the valid", "As above, of the crystals that are valid both ways.", "%"
    ),
    "amd_novelty": Metric(
        "geometric novelty",
        "Mean distance, in Å, from each crystal to the nearest training crystal: largest difference of their average"
        " distances to the first 100 neighbours (AMD). Continuous, blind to elements.",
    ),
    "amd_diversity": Metric(
        "geometric diversity", "Mean distance between two crystals of the sample, in Å, by the same measure."
    ),
}
METRICS |= {
    f"{name}_valid": Metric(f"{METRICS[name].label}, of the valid", "As above, of the crystals valid both ways.", "%")
    for name in ("uniqueness", "novelty", "unique_novelty")
}

FOUND = {
    "exact": ("the very group", "The group that was asked for is found, no more and no less."),
    "supergroup": ("more", "More symmetry is found than was asked for: atoms happen to sit on a more special place."),
    "lower": ("less", "Less symmetry is found than was asked for."),
    "other": ("another group", "A group of as many operations, but another one, is found."),
    "none": ("nothing", "spglib gives up, usually because atoms lie on top of each other."),
}
METRICS |= {
    f"agreement{tight}_{kind}": Metric(f"found{at}: {label}", meaning, "%")
    for tight, at in (("", ""), ("_tight", " at 0.01 Å"))
    for kind, (label, meaning) in FOUND.items()
}

SUN: dict[str, Metric] = {
    "initially_stable": Metric(
        "stable as generated", "Energy as generated at or below the threshold above the hull.", "%", "5.0", "more"
    ),
    "relaxed_stable": Metric(
        "stable after relaxation",
        "Energy after relaxation at or below the threshold above the hull.",
        "%",
        "9.4",
        "more",
    ),
    "stable_unique": Metric(
        "stable, unique", "Stable after relaxation and the first of its kind among the stable crystals.", "%"
    ),
    "stable_novel": Metric("stable, novel", "Stable after relaxation and unlike every training crystal.", "%"),
    "sun": Metric(
        "S.U.N.",
        "Stable after relaxation, unlike every training crystal, and the first of its kind among the crystals that are "
        "both.",
        "%",
        "7.0",
        "more",
    ),
    "sun_valid": Metric("S.U.N. and valid", "S.U.N., and as generated structurally and compositionally valid.", "%"),
    "sun_undoubted": Metric(
        "S.U.N. without doubts",
        "S.U.N., and none of: more than 0.1 eV/atom below the hull, no known compound that it could decompose into, "
        "moved by more than 0.5 Å in relaxation, a radioactive element.",
        "%",
    ),
    "sun_elsewhere_new": Metric(
        "S.U.N., new to all splits",
        "S.U.N., and unlike every crystal of the validation and test sets too, which were not trained on.",
        "%",
    ),
    "symmetry_kept": Metric(
        "symmetry kept", "spglib finds the same space group (0.1 Å) before and after relaxation.", "%"
    ),
}


def label_html(metric: Metric) -> Markup:
    """The label, what follows an underscore as a subscript: ``d_sg``."""
    return Markup(re.sub(r"_(\w+)", r"<sub>\1</sub>", str(escape(metric.label))))  # noqa: S704  (escaped)


def number(value: float, unit: str = "") -> str:
    """``94.3 %``, ``0.0899``, ``1,654``; ``–`` where there is none."""
    return shown(value, math.nan, math.nan, unit)[0]


def shown(value: float, low: float, high: float, unit: str = "") -> tuple[str, str]:
    """A value and its interval with the same digits: ``94.3 %``, ``93.1 to 95.2``; where absent, ``–`` and nothing."""
    there = [float(v) for v in (value, low, high) if v is not None and math.isfinite(v)]
    largest = max(map(abs, there), default=0.0)
    counts = all(v.is_integer() for v in there) and largest >= 1
    digits = 1 if unit == "%" else 0 if counts else 4 if largest < 1 else 3 if largest < 10 else 1
    text = [f"{v:,.{digits}f}" if v is not None and math.isfinite(v) else "" for v in (value, low, high)]
    interval = f"{text[1]} to {text[2]}" if text[1] and text[2] else ""
    return (f"{text[0]} %" if unit == "%" else text[0]) if text[0] else "–", interval


def published(metric: Metric | None) -> str:
    """The published value with the digits that the paper gives; empty where there is none."""
    if metric is None or not metric.paper:
        return ""
    return metric.paper + (" %" if metric.unit == "%" else "")


def verdict(metric: Metric | None, low: float, high: float, floor: float = math.nan) -> str:
    """How an interval lies to the published value: ``better``, ``worse``, ``no difference shown`` where it straddles.

    Empty where there is no published value, no interval, or where more is not plainly better or worse.

    Args:
        metric: with its published value.
        low: of the interval.
        high: of the interval.
        floor: least that as many real crystals score (2.5 % point); below it nothing was measured on so few.
    """
    if metric is None or not (metric.paper and metric.better and math.isfinite(low) and math.isfinite(high)):
        return ""
    value = float(metric.paper.replace(",", ""))
    if value < floor:
        return "published is below real crystals"
    if low <= value <= high:
        return "no difference shown"
    return "better" if (low > value) == (metric.better == "more") else "worse"


def sentence(row: Any, metric: Metric) -> str:
    """``91.0 % (95 % interval 88.0 to 93.0, n = 800, protocol paper)`` of a row of summary.csv."""
    value, interval = shown(row["value"], row["low"], row["high"], metric.unit)
    parts = [f"95 % interval {interval}"] if interval else []
    parts += [f"n = {int(row['n']):,}", f"protocol {row['protocol']}"]
    return f"{value} ({', '.join(parts)})"
