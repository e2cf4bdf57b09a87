"""Crystal structure prediction: what counts as found, METRe, and blocks that are kept."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from symmcd import reduce
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.diffusion.staged.arrangements import Composition


@pytest.fixture
def salts() -> AsymmetricUnits:
    rock = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.69), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    caesium = Structure.from_spacegroup("Pm-3m", Lattice.cubic(4.12), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    return AsymmetricUnits.from_units([reduce(rock), reduce(caesium)])


def test_a_crystal_may_be_met_by_as_many_candidates_as_are_told_the_same(capsys):
    """Rutile and anatase share two candidates; a crystal alone has one, though its second would match."""
    import prediction

    titania, salt = Composition({22: 1, 8: 2}, 6), Composition({11: 1, 17: 1}, 2)
    told = [titania, titania, salt]
    rows = [np.array([0, 1]), np.array([2, 3]), np.array([4, 5])]
    far = np.inf
    order = prediction.Order("log p", rows, np.array([far, 0.1, 0.2, far, far, 0.3]))
    np.testing.assert_array_equal(order.best(1), [far, 0.2, far])
    np.testing.assert_array_equal(order.best(2), [0.1, 0.2, 0.3])
    prediction.print_metre([order], told, candidates=2)
    printed = capsys.readouterr().out
    assert "3 crystals of 2 compositions, 2 with others of theirs" in printed
    assert "| log p | 66.7 [" in printed
    assert f"| {(0.1 + 0.2 + 0.5) / 3:.3f} | 100.0 [" in printed


def test_each_space_group_has_its_turn():
    import prediction

    assert prediction.new_groups_first(np.array([225, 225, 62, 225, 62, 2])).tolist() == [0, 2, 5, 1, 4, 3]


def test_all_crystals_of_a_formula_are_drawn_together(salts):
    import prediction

    four = salts.take(np.array([0, 1, 0, 1]))
    assert prediction.chosen_rows(four, 1, metre=True).tolist() in ([0, 2], [1, 3])
    assert prediction.chosen_rows(four, 3, metre=True).tolist() == [0, 1, 2, 3]


def test_known_salts_are_found_and_a_kept_block_is_read_again(salts, tmp_path, monkeypatch):
    import prediction

    how = prediction.How(
        "mp20", 2, 20, any_size=False, steps=None, proposals=None, careful=1, geometries=3, potential="chgnet",
        judge="chgnet",
    )  # fmt: skip
    found = prediction.block(salts, 7, how, tmp_path)
    assert found.owner.tolist() == [7, 7, 8, 8]
    assert found.same.reshape(2, 2).any(axis=1).all()
    assert np.isfinite(found.relaxed_distance[found.same]).all()
    assert np.isinf(found.relaxed_distance[~found.same]).all(), "rock salt is no caesium chloride"
    assert (found.energy[found.same] < -2).all()
    np.testing.assert_allclose(found.second_energy, found.energy, atol=1e-5)  # the same potential, another cell

    monkeypatch.setattr(prediction, "predicted", lambda *_: pytest.fail("computed again"))
    again = prediction.block(salts, 7, how, tmp_path)
    np.testing.assert_array_equal(again.relaxed_distance, found.relaxed_distance)
