"""Labels and numbers of metrics as they are printed."""

from __future__ import annotations

import math
import re
from typing import Any

from markupsafe import Markup, escape

from symmcd.extensions import Quantity
from symmcd.report.explain import known


def label_html(metric: Quantity) -> Markup:
    """The label, what follows an underscore as a subscript: ``d_sg``."""
    return Markup(re.sub(r"_(\w+)", r"<sub>\1</sub>", str(escape(metric.label))))  # noqa: S704  (escaped)


def number(value: float, unit: str = "") -> str:
    """``94.3 %``, ``0.0899``, ``1,654``; ``–`` if there is none."""
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


def protocol(name: str) -> str:
    """``paper’s protocol``, ``strict protocol``: how a metric was computed."""
    return "paper’s protocol" if name == "paper" else f"{name.replace('_', ' ')} protocol"


def sentence(row: Any) -> str:
    """``91.0 % (95 % interval 88.0 to 93.0, n = 800, paper's protocol)`` of a row of summary.csv."""
    metric = known(row["metric"])
    value, interval = shown(row["value"], row["low"], row["high"], metric.unit if metric else "")
    parts = [f"95 % interval {interval}"] if interval else []
    parts += [f"n = {int(row['n']):,}", protocol(row["protocol"])]
    return f"{value} ({', '.join(parts)})"
