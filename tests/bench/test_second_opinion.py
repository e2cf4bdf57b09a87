"""Our uniqueness and novelty beside xtalmet's where that is installed; what is planted is found by ours in any case."""

from __future__ import annotations

import numpy as np
import pytest

from symmcd.metrics.originality import originality
from symmcd.metrics.reference_set import ReferenceSet
from tests.report.conftest import KINDS, make_units


@pytest.fixture
def drawn():
    """Kinds, crystals and reference, of textbook prototypes with elements at random."""
    import second_opinion

    # two of the kinds are AB in one group with all atoms fixed, and match whenever the elements do
    val, train = make_units(24, 1, KINDS[2:]), make_units(80, 2, KINDS[2:])
    return second_opinion.crystals(val, train, 20, 6, 60, 0)


def ours(kinds, structures, reference):
    names = [str(i) for i in range(len(structures))]
    return originality(names, structures, [0] * len(structures), ReferenceSet(reference), 0, 0)


def test_what_is_planted_is_found(drawn):
    kinds, structures, reference = drawn
    found = ours(*drawn)
    of = {kind: np.array([k == kind for k in kinds]) for kind in set(kinds)}
    assert len(structures) == 50
    assert len(reference) == 60
    for kind in ("again", "displaced", "stretched"):
        assert not found.unique[of[kind]].any(), kind
    assert not found.novel[of["known"]].any()
    assert found.distance[of["known"]] == pytest.approx(0, abs=1e-6)
    assert found.unique[of["exchanged"]].all()


def test_xtalmet_says_the_same(drawn):
    pytest.importorskip("xtalmet", reason="xtalmet is not installed; bench/second_opinion.py says how")
    import second_opinion

    _, structures, reference = drawn
    found = ours(*drawn)
    theirs = second_opinion.theirs(structures, second_opinion.structures_of(reference))
    assert found.unique.tolist() == theirs["unique"].tolist()
    assert found.novel.tolist() == theirs["novel"].tolist()
    assert found.distance == pytest.approx(theirs["distance"], abs=1e-9)
    assert found.diversity == pytest.approx(theirs["diversity"], abs=1e-9)
