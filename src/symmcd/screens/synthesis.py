"""Hard rules of making a crystal in an open furnace, by the package matsyngate (oxides of three elements or more)."""

from __future__ import annotations

from symmcd.extensions import Screen
from symmcd.screens.crystal import ScreenedCrystal


def rules_broken(crystal: ScreenedCrystal) -> str:
    """Names of the rules that a crystal breaks, as ``G5 G7``; empty: none of those that need no network."""
    import matsyngate as rules

    context = rules.EvalContext(structure=crystal.structure)
    report = rules.evaluate_one(rules.SOLID_STATE_ROUTE, context, rules.SolidStateConfig(), mode="diagnose")
    return " ".join(sorted(name for name, verdict in report.verdicts.items() if verdict.status == rules.Status.FAIL))


SYNTHESIS = Screen(
    "synthesis rules broken",
    "Rules of solid-state synthesis in air that the crystal breaks, by matsyngate (G1 to G8; oxides of three elements "
    "or more); empty: none.",
    "symmcd.screens.synthesis:rules_broken",
    text=True,
    slow=True,
    package="matsyngate",
)
