"""Verdicts and counts in words, for the terminal and the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

VERDICTS = {  # in the order of the table
    "candidate": "new, at most {threshold:g} eV/atom above the hull by every judge, without doubts",
    "doubtful": "like a candidate, but with doubts",
    "screened_out": "like a candidate, but excluded by --keep",
    "known": "known materials, found again",
    "unstable": "new, but higher above the hull",
    "duplicate": "the same as a crystal of lower energy",
    "invalid": "overlapping atoms, or a composition without neutral oxidation states",
    "failed": "no relaxed energy, or no hull at the composition",
    "not_reached": "not reached within the budget",
}


def verdict_sentence(verdict: str, threshold: float) -> str:
    """Explain a verdict; `threshold` in eV/atom."""
    return VERDICTS[verdict].format(threshold=threshold)


def again_sentence(again: Mapping[str, Any] | None) -> str:
    """Number of known materials of the chemical system that were found again; empty if no system was asked for."""
    if not again or not any(again[split][1] for split in ("train", "val", "test")):
        return ""
    unseen = [again["val"][i] + again["test"][i] for i in (0, 1)]
    seen = again["train"]
    return (
        f"found again: {seen[0]} of MP-20's {seen[1]} training materials of this chemical system, "
        f"and {unseen[0]} of its {unseen[1]} validation and test materials"
    )
