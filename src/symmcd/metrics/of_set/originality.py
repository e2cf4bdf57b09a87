"""Uniqueness, novelty, novelty after an exchange of elements, geometric novelty and diversity."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from symmcd.extensions import Metric, Quantity
from symmcd.metrics.intervals import bootstrap
from symmcd.metrics.rows import Row, share

if TYPE_CHECKING:
    from symmcd.metrics.set_summary import CrystalSet

TRAIN = frozenset({"train"})


def _and_of_the_valid(name: str, label: str, sentence: str) -> dict[str, Quantity]:
    """A share of all crystals, and of the valid ones."""
    return {
        name: Quantity(label, sentence, unit="%", needs=TRAIN),
        f"{name}_valid": Quantity(
            f"{label}, of the valid", "As above, of the crystals valid both ways.", unit="%", needs=TRAIN
        ),
    }


METRIC = Metric(
    of="set",
    function="symmcd.metrics.of_set.originality:rows",
    quantities={
        **_and_of_the_valid(
            "uniqueness", "unique", "The first of its kind: no earlier crystal of the sample matches it."
        ),
        **_and_of_the_valid(
            "novelty", "novel", "No training crystal matches it (pymatgen's StructureMatcher, defaults)."
        ),
        **_and_of_the_valid(
            "unique_novelty", "unique and novel", "The first of its kind, and no training crystal matches it."
        ),
        "prototype_novelty": Quantity(
            "novel prototype",
            "No training crystal of the same space group matches it even after its elements are exchanged for others:"
            " what is left is no substitution in a known structure.",
            unit="%",
            needs=TRAIN,
        ),
        "prototype_novelty_valid": Quantity(
            "novel prototype, of the valid",
            "As above, of the crystals that are valid both ways.",
            unit="%",
            needs=TRAIN,
        ),
        "amd_novelty": Quantity(
            "geometric novelty",
            "Mean distance, in Å, from each crystal to the nearest training crystal: largest difference of their"
            " average distances to the first 100 neighbours (AMD). Continuous, blind to elements.",
            unit="Å",
            needs=TRAIN,
        ),
        "amd_diversity": Quantity(
            "geometric diversity",
            "Mean distance between two crystals of the sample, in Å, by the same measure.",
            unit="Å",
            needs=TRAIN,
        ),
    },
)


def rows(crystals: CrystalSet) -> Iterator[Row]:
    """Shares of all crystals and of the valid ones, then distances."""
    found, valid = crystals.originality, crystals.valid
    if found is None:
        return
    refused = int((~found.compared).sum())
    note = f"pymatgen's StructureMatcher; not compared, counted as neither unique nor novel: {refused}"
    for metric, flags in (
        ("uniqueness", found.unique),
        ("novelty", found.novel),
        ("unique_novelty", found.unique & found.novel),
    ):
        yield share(metric, "strict", flags, note)
        yield share(f"{metric}_valid", "strict", flags[valid], note, of="the valid")
    note = "same space group and anonymous formula, matched under any exchange of elements; of a random sample"
    of_sample, of_valid = found.sampled, found.sampled & valid
    if of_sample.any():
        yield share("prototype_novelty", "strict", found.new_prototype[of_sample], note, of="the sample")
        yield share("prototype_novelty_valid", "strict", found.new_prototype[of_valid], note, of="its valid crystals")
    distance = found.distance[np.isfinite(found.distance)]
    low, high = bootstrap(np.mean, distance, crystals.seed)
    mean = float(distance.mean()) if len(distance) else None
    note = "Å, average minimum distances, k = 100, Chebyshev"
    yield Row("amd_novelty", "strict", mean, low, high, len(distance), f"{note}; to the nearest training crystal")
    yield Row("amd_diversity", "strict", found.diversity, None, None, len(distance), f"{note}; between two of the set")
