"""Better and worse are said only where the interval leaves the published value out; every metric has words."""

from __future__ import annotations

import math

import pytest

from symmcd.extensions import quantities
from symmcd.report.explain import SUN, known
from symmcd.report.load import OPTIONAL_RATES
from symmcd.report.verdicts import published, verdict
from symmcd.stability.rate_names import RATES

VALID, DISTANCE = "structural_validity", "space_group_jsd"  # published: 94.32 % and 0.0899


@pytest.mark.parametrize(
    ("metric", "interval", "said"),
    [
        (VALID, (95.0, 97.0), "better"),
        (VALID, (90.0, 94.31), "worse"),
        (VALID, (94.32, 97.0), "no difference shown"),
        (DISTANCE, (0.05, 0.08), "better"),
        (DISTANCE, (0.09, 0.12), "worse"),
        (DISTANCE, (math.nan, math.nan), ""),
        ("templates_in_train", (10.0, 20.0), ""),  # few known templates are no merit by themselves
        ("share_p1", (1.0, 2.0), ""),
        ("described_nowhere", (1.0, 2.0), ""),
    ],
)
def test_verdicts(metric, interval, said):
    assert verdict(metric, *interval) == said


def test_published_values_have_the_papers_digits():
    names = ("structural_validity", "element_count_wasserstein", "templates_unique", "sun", "group_kept", "nothing")
    assert [published(name) for name in names] == ["94.32 %", "0.3990", "2,794", "7.0 %", "", ""]


def test_a_published_value_below_what_real_crystals_score_is_not_compared():
    assert verdict(DISTANCE, 0.13, 0.17, floor=0.127) == "published is below real crystals"
    assert verdict(DISTANCE, 0.13, 0.17, floor=0.05) == "worse"


def test_every_rate_of_sun_has_words_and_is_shown():
    assert SUN.keys() == {*RATES, *OPTIONAL_RATES}
    assert all(metric.sentence.endswith(".") for metric in SUN.values())


def test_every_metric_has_a_label_and_a_sentence():
    numbers = [*quantities("set").values(), *quantities("crystal").values()]
    assert all(number.sentence.endswith(".") for number in numbers)
    assert not [number.label for number in numbers if "_" in number.label.replace("d_", "")]
    assert all(known(name) for name in quantities())
    assert not quantities().keys() & SUN.keys()
