"""Streams are SplitMix64's bits, belong to their crystal alone, and look random."""

from __future__ import annotations

import numpy as np
import torch

from symmcd.diffusion.random_streams import CrystalStreams, mix, mixed_seed


def splitmix(x: int) -> int:
    """The published algorithm on Python integers."""
    mask = (1 << 64) - 1
    z = (x + 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


def test_mix_is_splitmix64():
    assert splitmix(0) == 0xE220A8397B1DCDAF  # first output of the reference implementation with seed 0
    values = [0, 1, -1, 2**62, -(2**63), 123_456_789]
    found = mix(torch.tensor(values)).tolist()
    assert [f & (2**64 - 1) for f in found] == [splitmix(v & (2**64 - 1)) for v in values]


def test_a_crystal_draws_the_same_in_any_company():
    together = CrystalStreams(3, torch.arange(10))
    alone = CrystalStreams(3, torch.tensor([7]))
    torch.testing.assert_close(together.uniform(5, (4, 3))[7:8], alone.uniform(5, (4, 3)), rtol=0, atol=0)
    # more orbits only add numbers
    torch.testing.assert_close(alone.uniform(5, (9, 3))[:, :4], alone.uniform(5, (4, 3)), rtol=0, atol=0)


def test_draws_seeds_and_crystals_differ():
    a = CrystalStreams(0, torch.arange(50)).uniform(1, (20,))
    b = CrystalStreams(0, torch.arange(50)).uniform(2, (20,))
    c = CrystalStreams(1, torch.arange(50)).uniform(1, (20,))
    for x, y in ((a, b), (a, c), (a[:-1], a[1:]), (a[:, :-1], a[:, 1:])):
        assert abs(np.corrcoef(x.flatten(), y.flatten())[0, 1]) < 0.12  # 4 standard errors
    assert len({mixed_seed(0, 1), mixed_seed(1, 0), mixed_seed(0, 2), mixed_seed(0)}) == 4


def test_branches_are_other_streams_of_the_same_crystals():
    streams = CrystalStreams(0, torch.arange(50))
    assert torch.equal(streams.branch(0).uniform(1, (20,)), streams.uniform(1, (20,)))
    drawn = [streams.branch(number).uniform(draw, (20,)).flatten().numpy() for number in range(3) for draw in (1, 2)]
    apart = np.abs(np.corrcoef(drawn) - np.eye(6))
    assert apart.max() < 0.13  # 4 standard errors
    alone = CrystalStreams(0, torch.tensor([7])).branch(2)
    assert torch.equal(streams.branch(2).uniform(5, (4, 3))[7:8], alone.uniform(5, (4, 3)))


def test_distributions():
    streams = CrystalStreams(0, torch.arange(1000))
    uniform = np.sort(streams.uniform(0, (100,)).flatten().numpy().astype(float))
    assert np.abs(uniform - (np.arange(100_000) + 0.5) / 100_000).max() < 1.95 / np.sqrt(100_000)  # Kolmogorov, 0.1 %
    assert 0 < uniform[0] < uniform[-1] < 1
    normal = streams.normal(1, (100,)).numpy().astype(float)
    assert abs(normal.mean()) < 4 / np.sqrt(1e5)
    assert abs(normal.var() - 1) < 4 * np.sqrt(2 / 1e5)
