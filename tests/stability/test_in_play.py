"""A hull of the systems in play is, at every crystal to be judged, the hull of all reference crystals."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits, numbered_labels
from symmcd.crystallography.composition import SYMBOLS
from symmcd.crystallography.content import formulas
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.errors import InputError
from symmcd.stability.hull import ConvexHull, HullEntry
from symmcd.stability.in_play import read_systems, within

ELEMENTS = (1, 3, 8, 11, 17, 22, 26, 86)
CRYSTALS = st.lists(st.lists(st.sampled_from(ELEMENTS), min_size=1, max_size=5), min_size=1, max_size=30)


def crystals_of(elements):
    """Triclinic crystals with an atom of each of the elements, which may repeat."""
    counts = [len(of_one) for of_one in elements]
    start = np.concatenate([[0], np.cumsum(counts)])
    position = np.random.default_rng(0).random((start[-1], 3))
    return AsymmetricUnits(
        np.ones(len(elements), int), np.zeros((len(elements), 6)), start, np.concatenate(elements),
        np.full(start[-1], wyckoff_table().row(1, "a")), position, np.array(numbered_labels(len(elements))),
    )  # fmt: skip


def systems_in(path, names):
    path.write_text("id,formula\n" + "".join(f"{i},{name}\n" for i, name in enumerate(names)))
    return read_systems([path])


@settings(max_examples=150, deadline=None)
@given(CRYSTALS, CRYSTALS, st.integers(0, 10**6))
def test_the_hull_is_that_of_all_crystals(tmp_path_factory, reference, judged, seed):
    """The same bits, energy and decomposition; as many entries in the system; and nothing is kept without need."""
    units, names = crystals_of(reference), formulas(crystals_of(judged))
    random = np.random.default_rng(seed)
    elements = [HullEntry(SYMBOLS[z - 1], random.uniform(-8, 0), "energy", "elements") for z in ELEMENTS]
    entries = [HullEntry(name, random.uniform(-12, 0), "energy", "train") for name in formulas(units)]
    kept = within(units, systems_in(tmp_path_factory.getbasetemp() / "relaxed.csv", names))
    whole = ConvexHull([*elements, *entries])
    part = ConvexHull([*elements, *(entry for entry, keep in zip(entries, kept, strict=True) if keep)])
    for name in names:
        assert part.at(name) == whole.at(name)
        assert part.entries_in(name) == whole.entries_in(name)
    needed = [any(set(one) <= set(other) for other in judged) for one in reference]
    assert kept.tolist() == needed


def test_the_systems_of_all_elements_keep_everything():
    """Sets of as many elements as there are, of which there would be 2^88 subsets."""
    units = crystals_of([[z, 119 - z] for z in range(1, 119)])
    assert within(units, {frozenset(range(1, 119))}).all()
    assert within(units, {frozenset(range(1, 60)), frozenset(range(60, 119))}).sum() == 0
    assert within(units, set()).sum() == 0


def test_the_search_does_not_try_pairs():
    """45,000 reference crystals against 5,000 systems, 225 million pairs: well below a minute of a busy core."""
    random = np.random.default_rng(0)
    units = crystals_of([random.choice(89, random.integers(1, 6), replace=False) + 1 for _ in range(45_000)])
    systems = {frozenset((random.choice(89, 4, replace=False) + 1).tolist()) for _ in range(5_000)}
    started = time.process_time()
    kept = within(units, systems)
    assert time.process_time() - started < 5
    assert 0 < kept.sum() < 45_000


def test_a_crystal_without_an_energy_is_in_play(tmp_path):
    (tmp_path / "a.csv").write_text("id,status,formula,energy_relaxed\n0,converged,LiFePO4,-6.5\n")
    (tmp_path / "b.csv").write_text("id,status,formula,energy_relaxed\n1,failed:not_finite,NaN,\n2,converged,O2,-4.9\n")
    assert read_systems([tmp_path / "a.csv", tmp_path / "b.csv"]) == {
        frozenset({3, 26, 15, 8}), frozenset({11, 7}), frozenset({8})
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("0,NaCl\n1,\n", r"relaxed\.csv, row 2: '' is not a formula; run `symmcd relax` again"),
        ("0,Xy2\n1,NaCl\n", r"relaxed\.csv, row 1: 'Xy2' is not a formula"),
        ("0,NaCl\n1\n", r"relaxed\.csv, row 2: 1 fields, expected 2"),
    ],
)
def test_a_row_without_a_formula_is_named(tmp_path, rows, message):
    (tmp_path / "relaxed.csv").write_text("id,formula\n" + rows)
    with pytest.raises(InputError, match=message):
        read_systems([tmp_path / "relaxed.csv"])
    (tmp_path / "other.csv").write_text("id,status\n0,ok\n")
    with pytest.raises(InputError, match="lacks the column formula"):
        read_systems([tmp_path / "other.csv"])
