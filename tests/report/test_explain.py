"""Better and worse are said only where the interval leaves the published value out; every metric has words."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from symmcd.metrics.crystal_scores import COLUMNS
from symmcd.metrics.set_summary import Reference, summarise_set
from symmcd.report import load
from symmcd.report.explain import METRICS, SUN, verdict
from symmcd.stability import sun

VALID, DISTANCE = METRICS["structural_validity"], METRICS["space_group_jsd"]  # published: 94.32 % and 0.0899


@pytest.mark.parametrize(
    ("metric", "interval", "said"),
    [
        (VALID, (95.0, 97.0), "better"),
        (VALID, (90.0, 94.31), "worse"),
        (VALID, (94.32, 97.0), "no difference shown"),
        (DISTANCE, (0.05, 0.08), "better"),
        (DISTANCE, (0.09, 0.12), "worse"),
        (DISTANCE, (math.nan, math.nan), ""),
        (METRICS["templates_in_train"], (10.0, 20.0), ""),  # few known templates are no merit by themselves
        (METRICS["share_p1"], (1.0, 2.0), ""),
        (None, (1.0, 2.0), ""),
    ],
)
def test_verdicts(metric, interval, said):
    assert verdict(metric, *interval) == said


def test_a_published_value_below_what_real_crystals_score_is_not_compared():
    assert verdict(DISTANCE, 0.13, 0.17, floor=0.127) == "published is below real crystals"
    assert verdict(DISTANCE, 0.13, 0.17, floor=0.05) == "worse"


def test_every_rate_of_sun_has_words_and_is_shown():
    counted = {*sun.RATES, *sun.MORE_RATES, "symmetry_kept"}
    assert counted == SUN.keys() == {*load.ALL_RATES, *load.MORE_RATES}
    assert all(metric.sentence.endswith(".") for metric in SUN.values())


def test_every_metric_that_is_computed_has_a_label_and_a_sentence():
    row = dict.fromkeys(COLUMNS, True) | {
        "id": "0", "space_group": 1, "space_group_found": 1, "agreement": "exact", "agreement_tight": "exact",
        "density": 3.0, "elements": 2, "template": "1_a",
    }  # fmt: skip
    reference = Reference(np.ones(3), np.ones(3, int), np.ones(3, int))
    rows = summarise_set(pd.DataFrame([row]), ["1_a"], reference, 10, 0)
    unknown = {row["metric"] for row in rows} - METRICS.keys()
    assert not unknown
    assert all(
        metric.sentence.endswith(".") and "_" not in metric.label.replace("d_", "") for metric in METRICS.values()
    )
