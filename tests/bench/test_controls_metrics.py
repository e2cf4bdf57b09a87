"""The controls of the metrics: elements are dealt out anew and nothing else; dealt-out elements score worse."""

from __future__ import annotations

import numpy as np
import pytest

from symmcd.crystallography.content import templates
from symmcd.storage import write_units
from tests.report.conftest import make_units


@pytest.fixture
def folder(tmp_path):
    for split, number in (("train", 40), ("val", 30), ("test", 30)):
        write_units(tmp_path / f"asymmetric_units/{split}.npz", make_units(number, number))
    return tmp_path


def test_dealt_elements_keep_structures_templates_and_the_elements_of_the_set(folder):
    import controls_metrics

    plain, dealt = (controls_metrics.control(name, folder, 0) for name in ("val", "shuffled"))
    assert templates(plain) == templates(dealt)
    assert np.array_equal(plain.position, dealt.position)
    assert sorted(plain.element) == sorted(dealt.element)
    assert not np.array_equal(plain.element, dealt.element)
    assert len(controls_metrics.control("val", folder, 7)) == 7


def test_a_set_against_itself_is_perfect_and_dealt_elements_are_not(folder):
    import controls_metrics

    def scores(name):
        rows = controls_metrics.evaluate(controls_metrics.control(name, folder, 0), folder, folder / "cache.sqlite")
        return {(row["metric"], row["protocol"]): row["value"] for row in rows}

    itself, dealt = scores("test"), scores("shuffled")
    for metric in ("coverage_recall", "coverage_precision"):
        assert itself[metric, "strict"] == 100
        assert dealt[metric, "strict"] < 100
    assert itself["density_wasserstein", "strict"] == pytest.approx(0, abs=1e-3)
    assert dealt["density_wasserstein", "strict"] > 0.01
