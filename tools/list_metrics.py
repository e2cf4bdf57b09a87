"""Write the tables of all metrics into docs/metrics.md, from the registry of metrics.

    python tools/list_metrics.py

They stand between two remarks that name this file; the rest of the page stays as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from symmcd.extensions import METRICS, NEEDS, Quantity

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
BEGIN, END = "<!-- begin: tools/list_metrics.py -->", "<!-- end: tools/list_metrics.py -->"
WORDS = {
    "train": "training set",
    "reference": "reference set",
    "fingerprints": "fingerprints",
    "predictor": "predictor",
}


def tables() -> str:
    """Both tables, Markdown: rows of summary.csv and columns of per_crystal.csv."""
    head = "| row of `summary.csv` | what it says | unit | better | protocols | needs |\n|---|---|---|---|---|---|"
    rows = [
        f"| `{name}` | {number.sentence} | {number.unit} | {number.better} | {', '.join(number.protocols)} |"
        f" {', '.join(WORDS[need] for need in NEEDS if need in number.needs)} |"
        for name, number in _shipped("set").items()
    ]
    columns = [f"| `{name}` | {number.sentence} | {number.unit} |" for name, number in _shipped("crystal").items()]
    second = "| column of `per_crystal.csv` | what it says | unit |\n|---|---|---|"
    return "\n".join([head, *rows, "", second, *columns])


def page(text: str) -> str:
    """The page with the tables of today in it.

    Raises:
        ValueError: it lacks one of the remarks.
    """
    before, found, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (found and end):
        raise ValueError(f"{PAGE}: lacks {BEGIN} or {END}")
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


def _shipped(of: Literal["crystal", "set"]) -> dict[str, Quantity]:
    """Numbers of our own metrics: others may be installed here, and not where the page is read."""
    metrics = [METRICS[name] for name in METRICS.shipped if METRICS[name].of == of]
    return {name: number for metric in metrics for name, number in metric.quantities.items()}


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote {PAGE}")
