"""What each metric means, in one sentence; its unit; and the value published for SymmCD (Levy et al., ICLR 2025)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from symmcd.extensions import quantities

PUBLICATION = "Levy et al., SymmCD, ICLR 2025, tables 1 to 3 (MP-20, all space groups)"


@dataclass(frozen=True)
class Metric:
    label: str
    sentence: str  # HTML-free; says what is counted
    unit: str = ""
    paper: str = ""  # digits as published
    better: str = ""  # "more", "less", or nothing where neither is a merit by itself


_PAPER = {  # value of summary.csv -> digits as published
    "structural_validity": "94.32",
    "compositional_validity": "85.85",
    "density_wasserstein": "0.0901",
    "element_count_wasserstein": "0.3990",
    "space_group_jsd": "0.0899",
    "templates_unique": "2,794",
    "templates_in_train": "40.8",
    "templates_new": "1,654",
    "coverage_recall": "99.64",
    "coverage_precision": "98.87",
    "formation_energy_wasserstein": "0.1166",
}


def metrics() -> dict[str, Metric]:
    """Numbers of summary.csv, as the registry of metrics describes them, with the published values."""
    return {
        name: Metric(number.label, number.sentence, number.unit, _PAPER.get(name, ""), number.better)
        for name, number in quantities().items()
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
