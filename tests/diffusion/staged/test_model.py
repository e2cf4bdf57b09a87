"""From a staged checkpoint to crystals: what is drawn is what is decoded."""

from __future__ import annotations

import numpy as np
import torch

from symmcd.crystallography.decode import decode
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.diffusion.generator import Sampler
from symmcd.diffusion.staged.symmetry_tables import symmetry_tables
from tests.diffusion.crystals import SMALL_STAGED


def test_every_position_of_every_group_is_found_from_its_code():
    """Of a position's site-symmetry classes and coordinates in single precision, decoding makes the very position."""
    table, tables = wyckoff_table(), symmetry_tables()
    rng = np.random.default_rng(0)
    wrong = []
    for group in range(1, 231):
        rows = np.arange(table.start[group - 1], table.start[group])
        u = torch.tensor(rng.random((len(rows), 3)), dtype=torch.float32) * tables.free[rows]
        position = (tables.positions(u, torch.as_tensor(rows)) % 1.0).numpy().astype(float)
        scale = np.linspace(1.9, 2.1, 1)
        k = np.array([[0, 0, 0, 0.05, 0.03, scale[0]]])
        units = decode(
            np.array([group]), k, np.full(len(rows), 8), position, table.site_symmetry[rows], np.array([0, len(rows)])
        )
        if not np.array_equal(units.wyckoff, rows):
            wrong.append((group, units.wyckoff[units.wyckoff != rows], rows[units.wyckoff != rows]))
        np.testing.assert_allclose((units.position - position + 0.5) % 1, 0.5, atol=1e-5)
    assert not wrong, wrong


def test_generated_crystals_have_their_group_and_do_not_depend_on_the_batch(staged):
    units = staged.generate(12, 62, seed=2, steps=5)
    again = staged.generate(15, 62, seed=2, steps=5, batch_size=2)
    for a, b in zip(units, again, strict=False):
        assert a.space_group == 62
        assert a.letter == b.letter
        np.testing.assert_array_equal(a.element, b.element)
        np.testing.assert_allclose((a.position - b.position + 0.5) % 1, 0.5, atol=1e-3)
        np.testing.assert_allclose(a.lattice, b.lattice, rtol=1e-3)
    other = staged.generate(12, 62, seed=3, steps=5)
    assert any(a.letter != b.letter or (a.element != b.element).any() for a, b in zip(units, other, strict=True))


def test_steps_unless_told_otherwise(staged):
    assert staged.steps(Sampler()) == SMALL_STAGED.steps  # fewer than the 50 of larger models
    assert staged.steps(Sampler(steps=7)) == 7


def test_more_proposals_keep_positions_and_elements_and_change_geometries(staged):
    one, four = (staged.generate(12, 62, seed=2, steps=5, proposals=number) for number in (1, 4))
    unless_told = staged.generate(12, 62, seed=2, steps=5)
    changed = 0
    for a, b, c in zip(one, four, unless_told, strict=True):
        assert a.letter == b.letter
        np.testing.assert_array_equal(a.element, b.element)
        np.testing.assert_array_equal(b.position, c.position)
        changed += bool((a.lattice != b.lattice).any())
    assert 0 < changed < 12  # of some crystals the first is the likeliest


def test_tables_that_sampling_makes_serve_a_training_too():
    """A tensor made in inference mode may not be part of a gradient."""
    symmetry_tables.cache_clear()
    with torch.inference_mode():
        made = symmetry_tables()
    assert not any(value.is_inference() for value in vars(made).values() if isinstance(value, torch.Tensor))
