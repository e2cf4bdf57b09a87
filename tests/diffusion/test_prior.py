from __future__ import annotations

import numpy as np
import pytest
import torch

from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.diffusion.data_statistics import DataStatistics
from symmcd.diffusion.prior import draw_groups_and_orbits, orbit_probability, space_group_probability
from symmcd.diffusion.random_streams import CrystalStreams
from symmcd.errors import InputError
from tests.diffusion.crystals import random_units

UNITS = random_units(500)
STATISTICS = DataStatistics.of(UNITS)


def test_templates_are_as_frequent_as_in_the_training_set():
    n = 50_000
    group, orbits = draw_groups_and_orbits(STATISTICS, CrystalStreams(0, torch.arange(n)).uniform(0, (2,)))
    for g in np.unique(UNITS.space_group):
        for m in range(1, 8):
            expected = np.mean((UNITS.space_group == g) & (np.diff(UNITS.start) == m))
            found = float(((group == g) & (orbits == m)).float().mean())
            assert found == pytest.approx(expected, abs=5 * np.sqrt(0.25 / n))


def test_restricted_groups():
    probability = space_group_probability(STATISTICS, (225, 14))
    count = [np.sum(UNITS.space_group == g) for g in (225, 14)]
    assert float(probability[224]) == pytest.approx(count[0] / sum(count))
    assert float(probability.sum()) == pytest.approx(1)
    assert space_group_probability(STATISTICS, (100,))[99] == 1  # not in the training set
    with pytest.raises(InputError, match="231"):
        space_group_probability(STATISTICS, (231,))


def test_unseen_groups_take_the_orbits_of_their_family():
    p = orbit_probability(STATISTICS)
    torch.testing.assert_close(p[215], p[224])  # 216 and 225 are cubic, and 225 is the only cubic group here
    torch.testing.assert_close(p.sum(1), torch.ones(230))
    assert not p[:, 0].any()
    cubic = DataStatistics.of(random_units(50, groups=(225,)))
    overall = torch.bincount(torch.tensor(np.diff(random_units(50, groups=(225,)).start))) / 50
    torch.testing.assert_close(orbit_probability(cubic)[0], overall)  # no triclinic crystal at all


def test_site_symmetry_marginals():
    table, marginal = wyckoff_table(), STATISTICS.site_symmetry_marginal
    torch.testing.assert_close(marginal.sum(-1), torch.ones(230, 15))
    orbits = UNITS.space_group[UNITS.crystal] == 62
    share = np.bincount(table.site_symmetry[UNITS.wyckoff[orbits]][:, 0], minlength=13) / orbits.sum()
    np.testing.assert_allclose(marginal[61, 0], share, atol=1e-6)
    for number in (1, 100, 227):  # unseen: every class of a legal position, and no other
        rows = slice(table.start[number - 1], table.start[number])
        for axis in range(15):
            allowed = np.unique(table.site_symmetry[rows, axis])
            np.testing.assert_array_equal(np.flatnonzero(marginal[number - 1, axis]), allowed)


def test_lattice_scale_comes_from_free_coefficients_only():
    triclinic = UNITS.space_group == 2
    assert float(STATISTICS.lattice_mean[0]) == pytest.approx(UNITS.k[triclinic, 0].mean(), abs=1e-6)
    assert (STATISTICS.lattice_std > 0).all()
    low, high = STATISTICS.lattice_low.numpy(), STATISTICS.lattice_high.numpy()
    assert (low[5] <= UNITS.k[:, 5]).all()
    assert (UNITS.k[:, 5] <= high[5]).all()
    single = DataStatistics.of(random_units(1))
    assert single.lattice_std.isfinite().all()
    assert (single.lattice_low < single.lattice_high).all()
