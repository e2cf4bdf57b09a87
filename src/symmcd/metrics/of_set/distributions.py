"""Distances between a set and the reference set: density, elements, space groups, formation energy (paper, Table 2)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from symmcd.extensions import Metric, Quantity
from symmcd.metrics.intervals import FLOOR, Z, bootstrap
from symmcd.metrics.rows import Row

if TYPE_CHECKING:
    from symmcd.metrics.set_summary import CrystalSet

DRAWS = 50  # draws of random crystals whose distances are averaged
BOTH = ("paper", "strict")
REFERENCE = frozenset({"reference"})

METRIC = Metric(
    of="set",
    function="symmcd.metrics.of_set.distributions:rows",
    quantities={
        "density_wasserstein": Quantity(
            "d_ρ, density",
            "Wasserstein distance between the densities of generated and test crystals, g/cm³.",
            unit="g/cm³",
            better="less",
            protocols=BOTH,
            needs=REFERENCE,
        ),
        "element_count_wasserstein": Quantity(
            "d_elem, elements per crystal",
            "Wasserstein distance between the numbers of distinct elements of generated and test crystals.",
            better="less",
            protocols=BOTH,
            needs=REFERENCE,
        ),
        "space_group_jsd": Quantity(
            "d_sg, space groups",
            "Jensen–Shannon distance between the space groups of generated and test crystals: 0 if equal, 0.83"
            " disjoint; small samples score higher.",
            better="less",
            protocols=BOTH,
            needs=REFERENCE,
        ),
        "formation_energy_wasserstein": Quantity(
            "d_E, formation energy",
            "Wasserstein distance between the formation energies of generated and test crystals, both predicted by the"
            " same network, eV/atom.",
            unit="eV/atom",
            better="less",
            protocols=BOTH,
            needs=REFERENCE | {"predictor"},
        ),
    },
)

Distance = Callable[[Any, Any], float]


@dataclass(frozen=True, eq=False)
class _Property:
    """A property of each crystal of both sets."""

    metric: str
    ours: np.ndarray  # (B,)
    usable: np.ndarray  # (B,) bool
    theirs: np.ndarray  # (R,)
    distance: Distance
    missing: str = ""  # what to add to the note


def rows(crystals: CrystalSet) -> Iterator[Row]:
    """Rows of the paper's protocol (random valid crystals) and the strict one (all crystals), each with its floor."""
    if crystals.reference is None:
        return
    scored = np.flatnonzero(crystals.table["density"].notna())  # all but those that could not be read
    draws, part = random_draws(np.flatnonzero(crystals.valid), crystals.sample, crystals.seed)
    of_valid = f"mean of {len(draws)} draws of" if len(draws) > 1 else ""
    for protocol, sets, drawn, note in (
        ("paper", draws, part, f"{of_valid} random valid crystals".strip()),
        ("strict", [scored], 1.0, "all crystals"),
    ):
        for what in _properties(crystals, sets[0], merge_last=protocol == "paper"):
            ours = [what.ours[chosen[what.usable[chosen]]] for chosen in sets]
            yield from distance_rows(
                what.metric, protocol, ours, drawn, what.theirs, what.distance, crystals.seed, note + what.missing
            )


def _properties(crystals: CrystalSet, first: np.ndarray, *, merge_last: bool) -> Iterator[_Property]:
    """Quantities to compare; `first` are the crystals of the first draw."""
    from symmcd.metrics.found_symmetry import group_distance

    table, reference = crystals.table, crystals.reference
    assert reference is not None
    groups = table["space_group_found"].fillna(0).to_numpy(int)
    there = np.ones(len(table), bool)
    yield _Property("density_wasserstein", table["density"].to_numpy(float), there, reference.density, wasserstein)
    elements = table["elements"].fillna(0).to_numpy(int)
    yield _Property("element_count_wasserstein", elements, there, reference.elements, wasserstein)
    distance = functools.partial(group_distance, merge_last=merge_last)
    yield _Property("space_group_jsd", groups, groups > 0, reference.space_group, distance)
    if "predictor" in crystals.given:
        assert crystals.predictor is not None
        assert crystals.predictor.energies is not None
        energy, theirs = crystals.predictor.energies
        known = np.isfinite(energy)
        missing = f", eV/atom, predicted; {(~known[first]).sum()} without prediction left out"
        yield _Property(
            "formation_energy_wasserstein", energy, known, theirs[np.isfinite(theirs)], wasserstein, missing
        )


def wasserstein(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Wasserstein-1 distance, in the unit of the values; nan if either set is empty."""
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(ours, theirs)) if len(ours) and len(theirs) else math.nan


def random_draws(candidates: np.ndarray, sample: int, seed: int, number: int = DRAWS) -> tuple[list[np.ndarray], float]:
    """Draws of `sample` of the candidates, sorted, and what share of these each is.

    The published distances are those of one draw.  Densities and energies have long tails, so one draw of 10,000
    crystals may be three times as far as another.  So there are many draws if they consist mostly of different
    crystals, and one if at least half of the candidates would be in each.
    """
    rng, share = np.random.default_rng(seed), min(1.0, sample / max(len(candidates), 1))
    number = number if share <= 0.5 else 1
    size = min(sample, len(candidates))
    return [np.sort(rng.choice(candidates, size, replace=False)) for _ in range(number)], share


def distance_rows(
    metric: str,
    protocol: str,
    ours: Sequence[np.ndarray],
    share: float,
    theirs: np.ndarray,
    distance: Distance,
    seed: int,
    note: str,
) -> Iterator[Row]:
    """Distance of a set with its bootstrap interval, or of several draws the mean and where one may lie; its floor.

    Args:
        metric: name of the rows.
        protocol: of the first; the floor's has `FLOOR` behind it.
        ours: values of the set, or of each draw.
        share: part of the candidates that a draw is.
        theirs: values of the reference set.
        distance: between two sets of values.
        seed: of the bootstrap and of the floor.
        note: which crystals these are.
    """
    first = ours[0]
    if not len(first):
        yield Row(metric, protocol, None, None, None, 0, f"no crystal to measure ({note})")
        return
    if len(ours) > 1:
        found = np.array([distance(values, theirs) for values in ours])
        value, spread = float(found.mean()), float(found.std(ddof=1))
        half = Z * spread / math.sqrt(1 - share)  # as of crystals drawn from the model, not from these
        low, high = max(0.0, value - half), value + half
    else:
        value = distance(first, theirs)
        low, high = bootstrap(lambda values: distance(values, theirs), first, seed)
    note = f"{note}, against {len(theirs)} reference crystals"
    yield Row(metric, protocol, value, low, high, len(first), note)
    floor = _floor(distance, theirs, len(first), seed)
    low, high = np.percentile(floor, (2.5, 97.5)).tolist()
    note = f"as many drawn from the reference itself, {len(floor)} times: mean and middle 95 %"
    yield Row(metric, f"{protocol}{FLOOR}", float(floor.mean()), low, high, len(first), note)


def _floor(distance: Distance, reference: np.ndarray, number: int, seed: int, draws: int = 50) -> np.ndarray:
    """(draws,) distances of `number` crystals drawn from the reference itself: what a perfect model would get."""
    rng = np.random.default_rng(seed)
    return np.array([distance(rng.choice(reference, number), reference) for _ in range(draws)])
